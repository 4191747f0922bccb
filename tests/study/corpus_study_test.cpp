#include "bilens/study/corpus_study.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "bilens/io/safetensors.h"
#include "bilens/nn/gated_product.h"
#include "catch.h"
#include "decomposed_decoder.h"
#include "temporary_folder.h"

namespace bilens::corpus_study_test {
namespace {

using namespace test;  // random_decoder.h

/// Inputs of layer 1's MLP before the gain, and its outputs along the directions, float64.
std::pair<at::Tensor, at::Tensor> seen(Decoder& model, const TokenStream& stream, const Decomposed& of) {
  std::vector<at::Tensor> states, outputs;
  for (int64_t first = 0; first < kTokens; first += kContext) {
    const auto tokens =
        stream.ids.to(at::kLong).slice(0, first, std::min(kTokens, first + kContext) - 1).unsqueeze(0);
    std::vector<at::Tensor> layer_inputs;
    ForwardOptions options;
    options.states = &layer_inputs;
    options.mlp_hook = [&](int64_t layer, const at::Tensor&, const at::Tensor& y) {
      if (layer == 1) outputs.push_back(y.flatten(0, 1));
      return y;
    };
    model.final_states(tokens, options);
    states.push_back(model.add_attention(1, layer_inputs[1]).flatten(0, 1));
  }
  const auto h = at::cat(states).to(at::kDouble), y = at::cat(outputs).to(at::kDouble);
  const auto x = h * (h.square().mean(1, true) + model.config().rms_norm_eps).rsqrt();
  return {x,
          of.decomposition.directions.defined() ? y.mm(of.decomposition.directions.to(at::kDouble).t()) : y};
}

CorpusLayer study(Decoder& model, const TokenStream& stream, const Decomposed& of) {
  const at::NoGradGuard no_grad;
  const auto all =
      study_corpus(model, text_of(stream), {{of.decomposition, of.layer, {of.gain, {}}}}, {kTokens});
  // Nine windows of 32 and one of 12, each without its last token.
  CHECK(all.tokens == kTokens - 10);
  return all.layers.at(0);
}

double worst(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

TEST_CASE("with all eigenpairs a bilinear layer's outputs on text are rebuilt, by directions or axes") {
  const bool directed = GENERATE(true, false);
  auto model = random_model(Gate::kNone);
  const auto stream = random_stream();
  const auto of = decompose(model, 8, directed);
  const auto found = study(model, stream, of);
  const auto ones = at::ones_like(found.form_r2);
  CHECK(worst(found.form_r2, ones) < kFloat32);
  CHECK(worst(found.r2.select(1, 8), ones) < kFloat32);
  CHECK(worst(found.correlation.select(1, 8), ones) < kFloat32);
  CHECK(found.r2.select(1, 2).max().item<double>() < 0.999);
  // All parts together have the mean of the output.
  CHECK(worst(found.part_mean.sum(1), found.output_mean) < kFloat32 * found.output_std.max().item<double>());
}

TEST_CASE("contributions, parts and what k eigenpairs explain are those computed token by token") {
  const Gate gate = GENERATE(Gate::kNone, Gate::kSilu);
  auto model = random_model(gate);
  const auto stream = random_stream();
  const auto of = decompose(model, 3, true);
  const auto found = study(model, stream, of);
  const at::NoGradGuard no_grad;
  const auto [x, t] = seen(model, stream, of);
  REQUIRE(x.size(0) == kTokens - 10);
  const auto& d = of.decomposition;
  const auto near = [](const at::Tensor& a, const at::Tensor& b) {
    CHECK(worst(a, b) < kFloat32 * std::max(1.0, b.abs().max().item<double>()));
  };
  for (int64_t u = 0; u < 3; ++u) {
    const auto each = x.mm(d.pairs.eigenvectors[u].t()).square() * d.pairs.eigenvalues[u];
    near(found.contribution_mean[u], each.mean(0));
    near(found.contribution_std[u], each.std(0, false));
    const auto linear = x.mv(d.linear[u]), target = t.select(1, u);
    const auto whole = of.layer.to(at::kDouble, at::kCPU).forward(x).mv(d.directions[u].to(at::kDouble));
    const auto quadratic = whole - linear - d.constant[u];
    near(found.part_mean[u], at::stack({quadratic.mean(), linear.mean(), d.constant[u]}));
    near(found.part_square[u],
         at::stack({quadratic.square().mean(), linear.square().mean(), d.constant[u].square()}));
    near(found.output_mean[u], target.mean());
    near(found.output_std[u], target.std(0, false));
    const auto r2 = [&](const at::Tensor& y) {
      return 1 - (target - y).square().sum() / (target - target.mean()).square().sum();
    };
    near(found.form_r2[u], r2(whole));
    for (int64_t k = 0; k <= 3; ++k) {
      const auto rebuilt = linear + d.constant[u] + each.narrow(1, 0, k).sum(1);
      near(found.r2[u][k], r2(rebuilt));
      near(found.correlation[u][k], at::corrcoef(at::stack({rebuilt, target}))[0][1]);
    }
  }
  if (gate == Gate::kSilu) CHECK(found.form_r2.max().item<double>() < 0.999);  // it is not the layer
}

TEST_CASE("what holds over active tokens is computed from those alone") {
  auto model = random_model(Gate::kSilu);
  const auto stream = random_stream();
  const auto of = decompose(model, 3, true);
  const auto found = study(model, stream, of);  // the sample is everything
  const at::NoGradGuard no_grad;
  const auto [x, t] = seen(model, stream, of);
  const auto& d = of.decomposition;
  for (int64_t u = 0; u < 3; ++u) {
    const auto target = t.select(1, u);
    const auto active = ((target - target.mean()).abs() > target.std(0, false)).nonzero().squeeze(1);
    REQUIRE(found.active_count[u].item<int64_t>() == active.size(0));
    REQUIRE(active.size(0) > 20);
    const auto seen_target = target.index_select(0, active), seen_x = x.index_select(0, active);
    for (int64_t k = 0; k <= 3; ++k) {
      const auto p = seen_x.mm(d.pairs.eigenvectors[u].narrow(0, 0, k).t());
      const auto rebuilt =
          seen_x.mv(d.linear[u]) + d.constant[u] + p.square().mv(d.pairs.eigenvalues[u].narrow(0, 0, k));
      const auto r2 =
          1 - (seen_target - rebuilt).square().sum() / (seen_target - seen_target.mean()).square().sum();
      CHECK(std::abs(found.active_r2[u][k].item<double>() - r2.item<double>()) <
            kFloat32 * std::max(1.0, std::abs(r2.item<double>())));
      CHECK(std::abs(found.active_correlation[u][k].item<double>() -
                     at::corrcoef(at::stack({rebuilt, seen_target}))[0][1].item<double>()) < kFloat32);
    }
  }
}

TEST_CASE("a surrogate's error stays below its bound, token by token; a bilinear model has neither") {
  const auto stream = random_stream();
  auto bilinear = random_model(Gate::kNone);
  CHECK(!study(bilinear, stream, decompose(bilinear, 2, true)).sample_bound.defined());
  const Gate gate = GENERATE(Gate::kSilu, Gate::kGelu, Gate::kRelu);
  const bool directed = GENERATE(true, false);
  auto model = random_model(gate);
  const auto of = decompose(model, 2, directed);
  const auto found = study(model, stream, of);
  const at::NoGradGuard no_grad;
  const auto [x, t] = seen(model, stream, of);
  const auto layer = of.layer.to(at::kDouble, at::kCPU);
  const auto u = directed ? of.decomposition.directions.to(at::kDouble) : at::eye(8, at::kDouble);
  const auto line = x.mm(layer.gate.t()) + layer.gate_bias, v = x.mm(layer.up.t()) + layer.up_bias;
  const auto f = gated_product(2 * line, at::ones_like(line), gate);  // the gate was halved
  const auto bound = ((f - line).abs() * v.abs()).mm(u.mm(layer.down).abs().t()).t();
  const auto error = (t - layer.forward(x).mm(u.t())).abs().t();
  const double size = bound.max().item<double>();
  CHECK(worst(found.sample_bound, bound) < 1e-3 * size);  // float32's rounding is in it
  CHECK((found.sample_bound.to(at::kDouble) >= bound * (1 - 1e-6)).all().item<bool>());
  CHECK(worst(found.sample_error, error) < kFloat32 * size);
  CHECK((found.sample_error <= found.sample_bound).all().item<bool>());
  CHECK(found.sample_error.max().item<double>() > 0.05 * size);  // the bound is not out of all proportion
}

TEST_CASE("units with constants of their own: the bound is of the products that they stand for") {
  const auto stream = random_stream();
  auto model = random_model(Gate::kSilu);
  auto of = decompose(model, 2, true);
  const auto constants = at::linspace(0.1, 0.4, of.layer.d_hidden(), at::kDouble);
  of.layer.down_bias = of.layer.down_bias + of.layer.down.mv(constants.to(of.layer.down.scalar_type()));
  of.decomposition.constant =
      of.decomposition.constant +
      of.decomposition.directions.to(at::kDouble).mv(of.layer.down.to(at::kDouble).mv(constants));
  const at::NoGradGuard no_grad;
  const auto found = study_corpus(model, text_of(stream),
                                  {{of.decomposition, of.layer, {of.gain, {}}, constants}}, {kTokens})
                         .layers.at(0);
  const auto x = seen(model, stream, of).first;
  const auto layer = of.layer.to(at::kDouble, at::kCPU);
  const auto half = x.mm(layer.gate.t()) + layer.gate_bias, y = x.mm(layer.up.t()) + layer.up_bias;
  const auto wrong = gated_product(2 * half, y, Gate::kSilu) - half * y - constants;  // the gate was halved
  const auto bound = wrong.abs().mm(of.decomposition.directions.to(at::kDouble).mm(layer.down).abs().t()).t();
  CHECK(worst(found.sample_bound, bound) < 1e-3 * bound.max().item<double>());  // float32's rounding is in it
  CHECK((found.sample_error <= found.sample_bound).all().item<bool>());
  CHECK(found.sample_error.max().item<double>() > 0.05 * bound.max().item<double>());
}

TEST_CASE("contexts are the extremes of each sign, quantiles and histogram those of the sample") {
  auto model = random_model(Gate::kNone);
  const auto stream = random_stream();
  const auto of = decompose(model, 3, true);
  const at::NoGradGuard no_grad;
  CorpusStudyConfig config;
  config.tokens = kTokens, config.contexts = 5;  // the sample is everything
  const auto all =
      study_corpus(model, text_of(stream), {{of.decomposition, of.layer, {of.gain, {}}}}, config);
  const auto& found = all.layers.at(0);
  const auto x = seen(model, stream, of).first;
  CHECK(all.window == kContext - 1);
  REQUIRE(all.ids.size(0) == kTokens - 10);
  CHECK(all.ids[kContext - 1].item<int>() ==
        stream.ids.to(at::kInt)[kContext].item<int>());  // the second window's first
  for (int64_t u = 0; u < 3; ++u) {
    for (int64_t i = 0; i < 3; ++i) {
      const auto p = x.mv(of.decomposition.pairs.eigenvectors[u][i]);
      const auto sorted = std::get<0>(p.sort());
      const auto places = found.context_places[u][i].to(at::kLong);
      CHECK(worst(p.index_select(0, places[0]), sorted.flip(0).narrow(0, 0, 5)) < kFloat32);
      CHECK(worst(p.index_select(0, places[1]), sorted.narrow(0, 0, 5)) < kFloat32);
      CHECK(worst(p.index_select(0, places.flatten()), found.context_projections[u][i].flatten()) < kFloat32);
      CHECK(worst(p.index_select(0, found.quantile_places[u][i].to(at::kLong)),
                  found.quantile_projections[u][i]) < kFloat32);
      for (int q = 0; q < 7; ++q)
        CHECK(std::abs(found.quantile_projections[u][i][q].item<double>() -
                       sorted[std::llround(kCorpusQuantiles[q] * (kTokens - 11))].item<double>()) < kFloat32);
      CHECK(found.counts[u][i].sum().item<int64_t>() == kTokens - 10);
      const auto edges = found.edges[u][i];
      CHECK(std::abs(edges[0].item<double>() - sorted[0].item<double>()) < kFloat32);
      CHECK(std::abs(edges[24].item<double>() - sorted[-1].item<double>()) < kFloat32);
      // An edge may fall on either side of a number that is within float32 of it.
      const auto below = (p < edges[12]).sum().item<int64_t>();
      CHECK(std::abs(found.counts[u][i].narrow(0, 0, 12).sum().item<int64_t>() - below) <= 1);
    }
  }
  config.sample = 50, config.seed = 3;
  const auto study_again = [&] {
    return study_corpus(model, text_of(stream), {{of.decomposition, of.layer, {of.gain, {}}}}, config);
  };
  CHECK(study_again().layers[0].counts.sum().item<int64_t>() == 9 * 50);
  CHECK(study_again().layers[0].quantile_places.equal(study_again().layers[0].quantile_places));
  config.contexts = 0;
  CHECK(study_again().layers[0].context_places.size(3) == 0);
}

TEST_CASE("where fewer tokens than asked for lie on a side, the rest is marked") {
  auto model = random_model(Gate::kNone);
  const auto of = decompose(model, 2, true);
  const at::NoGradGuard no_grad;
  CorpusStudyConfig config;
  config.tokens = 4, config.contexts = 20;
  const auto stream = random_stream();
  const auto found = study_corpus(model, {stream, 0, 4, kContext, Packing::kPlain},
                                  {{of.decomposition, of.layer, {of.gain, {}}}}, config)
                         .layers.at(0);
  const auto there = (found.context_places >= 0).sum(-1);  // [n, k, 2]
  CHECK(there.sum(-1).eq(3).all().item<bool>());           // each of three tokens on one side
  CHECK(found.context_projections.ne(0).sum(-1).equal(there));
}

TEST_CASE("a form without linear part explains nothing with no eigenpair: no correlation is claimed") {
  auto model = random_model(Gate::kNone);
  auto of = decompose(model, 2, true);
  of.decomposition.linear = of.decomposition.constant = at::Tensor();
  const auto found = study(model, random_stream(), of);
  CHECK(found.correlation.select(1, 0).isnan().all().item<bool>());
  CHECK(found.correlation.narrow(1, 1, 2).isfinite().all().item<bool>());
}

TEST_CASE("what is written opens again, with its shapes") {
  const test::TemporaryFolder folder;
  auto model = random_model(Gate::kNone);
  const auto of = decompose(model, 3, true);
  const auto stream = random_stream();
  const at::NoGradGuard no_grad;
  const auto all = study_corpus(model, {stream, 0, 100, kContext, Packing::kDocuments},
                                {{of.decomposition, of.layer, {of.gain, {}}}}, {100});
  write_corpus_study(folder.path(), all);
  const SafetensorsFile file(folder / "corpus.safetensors");
  CHECK(file.tensor("layer_1.r2").sizes() == at::IntArrayRef({3, 4}));
  CHECK(file.tensor("layer_1.active.r2").sizes() == at::IntArrayRef({3, 4}));
  CHECK(file.tensor("sample").equal(all.sample));
  CHECK(file.tensors().count("layer_1.surrogate.bound") == 0);
  CHECK(file.tensor("layer_1.contribution_mean").equal(all.layers[0].contribution_mean));
  CHECK(all.tokens == 100 - 4);
}

}  // namespace
}  // namespace bilens::corpus_study_test
