#include "bilens/study/gated_units.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "bilens/nn/gated_product.h"
#include "catch.h"
#include "decomposed_decoder.h"

namespace bilens::gated_units_test {
namespace {

using namespace test;  // random_decoder.h

/// Inputs and outputs of layer 1's MLP in some windows, without each one's last token, float64.
std::pair<at::Tensor, at::Tensor> rows_of(Decoder& model, const TokenStream& stream, int64_t first,
                                          int64_t last) {
  std::vector<at::Tensor> inputs, outputs;
  ForwardOptions options;
  options.mlp_hook = [&](int64_t layer, const at::Tensor& x, const at::Tensor& y) {
    if (layer == 1) inputs.push_back(x.flatten(0, 1)), outputs.push_back(y.flatten(0, 1));
    return y;
  };
  for (int64_t begin = first; begin < last; begin += kContext) {
    const auto end = std::min(last, begin + kContext) - 1;
    model.final_states(stream.ids.to(at::kLong).slice(0, begin, end).unsqueeze(0), options);
  }
  return {at::cat(inputs).to(at::kDouble), at::cat(outputs).to(at::kDouble)};
}

struct Factors {
  at::Tensor z, y;
};
Factors factors_of(const Decoder& model, const at::Tensor& x) {
  const auto& layer = model.layer(1);
  const auto factor = [&](const at::Tensor& weight, const at::Tensor& bias) {
    return x.mm(weight.to(at::kDouble).t()) + bias.to(at::kDouble);
  };
  return {factor(layer.gate, layer.gate_bias), factor(layer.up, layer.up_bias)};
}

TEST_CASE("units that stand for a gated layer's are the least-squares ones, on the text named alone") {
  auto model = random_model(Gate::kSilu);
  const auto stream = random_stream();
  const at::NoGradGuard no_grad;
  constexpr int64_t kFirst = 2 * kContext;  // windows lie as in the whole text
  const TextWindows text{stream, kFirst, kTokens - kFirst, kContext, Packing::kPlain};
  const auto fits = fit_gated_units(model, text);
  REQUIRE(fits.size() == 2);
  const auto [z, y] = factors_of(model, rows_of(model, stream, kFirst, kTokens).first);
  const auto products = fits[1].units.products(z, y), t = z * z.sigmoid() * y;
  for (int64_t j = 0; j < 12; ++j) {
    const auto zj = z.select(1, j), yj = y.select(1, j), tj = t.select(1, j).unsqueeze(1);
    const auto columns = at::stack({zj * yj, yj, zj * zj, zj, at::ones_like(zj)}, 1);
    const auto expected = columns.mm(std::get<0>(at::linalg_lstsq(columns, tj)));
    // z and y are float32 in the model.
    CHECK((products.select(1, j).unsqueeze(1) - expected).abs().max().item<double>() <
          kFloat32 * tj.abs().max().item<double>());
  }
  auto bilinear = random_model(Gate::kNone);
  CHECK_THROWS_AS(fit_gated_units(bilinear, text), std::invalid_argument);
}

TEST_CASE("R squared of a layer's output is that of its own MLP with the units, or the lines, in it") {
  auto model = random_model(Gate::kSilu);
  const auto stream = random_stream();
  const at::NoGradGuard no_grad;
  const TextWindows fitted{stream, 128, kTokens - 128, kContext, Packing::kPlain},
      measured{stream, 0, 128, kContext, Packing::kPlain};
  const auto fits = fit_gated_units(model, fitted);
  const auto found = measure_gated_units(model, measured, fits);
  REQUIRE(found.size() == 2);
  const auto [x, output] = rows_of(model, stream, 0, 128);
  const auto [z, y] = factors_of(model, x);
  const auto& layer = model.layer(1);
  const auto r2 = [&, &target = output](const at::Tensor& products) {
    const auto other = products.mm(layer.down.to(at::kDouble).t()) + layer.down_bias.to(at::kDouble);
    return 1 - ((target - other).square().sum() / (target - target.mean(0)).square().sum()).item<double>();
  };
  CHECK(found[1].units == Approx(r2(fits[1].units.products(z, y))).epsilon(kFloat32));
  CHECK(found[1].lines == Approx(r2((fits[1].slope * z + fits[1].offset) * y)).epsilon(kFloat32));
  CHECK(found[1].units < 1.0);
}

}  // namespace
}  // namespace bilens::gated_units_test
