#include "bilens/study/text_truncation.h"

#include "catch.h"
#include "decomposed_decoder.h"

namespace bilens::text_truncation_test {
namespace {

using namespace test;

TruncatedLayer truncate(Decoder& model, const TokenStream& stream, const Decomposed& of) {
  const auto found = truncate_on_text(model, text_of(stream), {{of.decomposition, of.layer, {of.gain, {}}}});
  CHECK(found.tokens == kTokens - 10);
  CHECK(found.documents == 3);
  return found.layers.at(0);
}

TEST_CASE("with all eigenpairs a truncated bilinear layer is the layer, along any directions") {
  const bool directed = GENERATE(true, false);
  auto model = random_model(Gate::kNone);
  const auto stream = random_stream();
  auto of = decompose(model, 8, directed);
  const auto found = truncate(model, stream, of);
  CHECK(found.k == std::vector<int64_t>{0, 1, 2, 4, 8});
  CHECK(std::abs(found.change.back().mean) < kFloat32);
  CHECK(std::abs(found.change.front().mean) > 10 * kFloat32);
  CHECK(found.change.front().low < found.change.front().high);
}

TEST_CASE("directions that depend on each other are truncated as their span") {
  const double factor = GENERATE(2.0, 0.3);  // exactly, or but for float32's rounding
  auto model = random_model(Gate::kNone);
  const auto stream = random_stream();
  const auto of = decompose(model, 8, true);
  auto doubled = of;
  const auto twice = [&](const at::Tensor& x) { return at::cat({x, factor * x}); };
  auto& d = doubled.decomposition;
  d.directions = twice(d.directions), d.linear = twice(d.linear), d.constant = twice(d.constant);
  d.pairs.eigenvectors = at::cat({d.pairs.eigenvectors, d.pairs.eigenvectors});
  d.pairs.eigenvalues = twice(d.pairs.eigenvalues);
  const auto once = truncate(model, stream, of), both = truncate(model, stream, doubled);
  for (size_t i = 0; i < once.k.size(); ++i)
    CHECK(std::abs(once.change[i].mean - both.change[i].mean) < kFloat32);
}

TEST_CASE("a truncated layer's loss is the model's with the sum put in by hand") {
  auto model = random_model(Gate::kSilu);
  const auto stream = random_stream();
  const auto of = decompose(model, 4, false);  // axes: the whole output is replaced
  const auto found = truncate(model, stream, of);
  const at::NoGradGuard no_grad;
  const auto& d = of.decomposition;
  double change = 0;
  text_of(stream).each("by hand", [&](const TokenBatch& batch, ForwardOptions options) {
    const auto own = model.loss_sum(batch.inputs, batch.targets, options);
    options.mlp_hook = [&](int64_t layer, const at::Tensor& x, const at::Tensor& y) {
      if (layer != 1) return y;
      const auto gain = of.gain.to(at::kDouble);
      const auto in = at::where(gain == 0, 0.0, x.to(at::kDouble) / gain);
      auto sum = in.matmul(d.linear.t()) + d.constant;
      for (int64_t k = 0; k < 2; ++k)
        sum = sum + in.matmul(d.pairs.eigenvectors.select(1, k).to(at::kDouble).t()).square() *
                        d.pairs.eigenvalues.select(1, k);
      return sum.to(at::kFloat);
    };
    change += (model.loss_sum(batch.inputs, batch.targets, options) - own).item<double>();
  });
  CHECK(found.k == std::vector<int64_t>{0, 1, 2, 4});
  CHECK(std::abs(found.change[2].mean - change / (kTokens - 10)) < kFloat32);
}

}  // namespace
}  // namespace bilens::text_truncation_test
