#include "bilens/study/corpus_study.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "bilens/analysis/interaction.h"
#include "bilens/io/safetensors.h"
#include "bilens/tensor/random.h"
#include "catch.h"
#include "temporary_folder.h"

namespace bilens {
namespace {

constexpr int64_t kTokens = 300, kContext = 32;

LlamaConfig config_of(Gate gate) {
  LlamaConfig config;
  config.vocab_size = 19, config.hidden_size = 8, config.intermediate_size = 12;
  config.num_hidden_layers = 2, config.num_attention_heads = 2, config.num_key_value_heads = 1,
  config.head_dim = 4;
  config.max_position_embeddings = 64;
  config.hidden_act = gate, config.mlp_bias = true, config.initializer_range = 0.5;
  return config;
}

/// With biases and gains that are not those of a new model; one gain is 0.
LlamaDecoder random_model(Gate gate) {
  LlamaDecoder model(config_of(gate), at::kCPU, 3);
  const at::NoGradGuard no_grad;
  uint64_t seed = 7;
  for (const auto& [name, parameter] : model.parameters()) {
    if (parameter.dim() == 1)
      at::Tensor(parameter).add_(
          at::randn(parameter.sizes(), make_generator(at::kCPU, seed++), at::TensorOptions()), 0.3);
    if (name.ends_with("layers.1.post_attention_layernorm.weight")) parameter[2].zero_();
  }
  return model;
}

TokenStream random_stream() {
  const auto ids =
      at::randint(2, 19, {kTokens}, make_generator(at::kCPU, 5), at::TensorOptions().dtype(at::kLong));
  return {ids.to(at::kUInt16), {0, 40, 111}};
}

/// Layer 1, its gain folded in, half the gate where it is not bilinear, with its first k eigenpairs.
struct Decomposed {
  BilinearLayer layer;
  LayerDecomposition decomposition;
  at::Tensor gain;
};

Decomposed decompose(const LlamaDecoder& model, int64_t k, bool directed) {
  std::map<std::string, at::Tensor> weights;
  for (const auto& [name, parameter] : model.parameters()) weights[name] = parameter.detach();
  const auto of = [&](const std::string& name) { return weights.at("model.layers.1." + name); };
  const double half = model.config().hidden_act == Gate::kNone ? 1.0 : 0.5;
  Decomposed result;
  result.gain = of("post_attention_layernorm.weight");
  result.layer.gate = of("mlp.gate_proj.weight") * result.gain * half;
  result.layer.up = of("mlp.up_proj.weight") * result.gain;
  result.layer.down = of("mlp.down_proj.weight");
  result.layer.gate_bias = of("mlp.gate_proj.bias") * half;
  result.layer.up_bias = of("mlp.up_proj.bias"), result.layer.down_bias = of("mlp.down_proj.bias");
  auto& d = result.decomposition;
  d.layer = 1, d.d_in = 8, d.d_hidden = 12, d.d_out = 8;
  if (directed) d.directions = at::randn({3, 8}, make_generator(at::kCPU, 8), at::TensorOptions());
  EigenConfig eigen;
  eigen.k = k, eigen.dtype = at::kDouble;
  const auto u = directed ? d.directions.to(at::kDouble) : at::Tensor();
  d.pairs = solve_eigen({result.layer, {}, u}, at::kCPU, eigen);
  const InteractionOperator form(result.layer.to(at::kDouble, at::kCPU), u, {});
  d.linear = form.linear(), d.constant = form.constant();
  return result;
}

/// Inputs of layer 1's MLP before the gain, and its outputs along the directions, float64.
std::pair<at::Tensor, at::Tensor> seen(LlamaDecoder& model, const TokenStream& stream, const Decomposed& of) {
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

CorpusLayer study(LlamaDecoder& model, const TokenStream& stream, const Decomposed& of) {
  const at::NoGradGuard no_grad;
  const auto all = study_corpus(model, stream, kContext, Packing::kPlain,
                                {{of.decomposition, of.layer, of.gain}}, {kTokens});
  // Nine windows of 32 and one of 12, each without its last token.
  CHECK(all.tokens == kTokens - 10);
  return all.layers.at(0);
}

double worst(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

// The model is float32, of numbers up to some 10 behind a norm: 1e-5 of the outputs' size.
constexpr double kFloat32 = 2e-5;

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

TEST_CASE("contexts are the extremes of each sign, quantiles and histogram those of the sample") {
  auto model = random_model(Gate::kNone);
  const auto stream = random_stream();
  const auto of = decompose(model, 3, true);
  const at::NoGradGuard no_grad;
  CorpusStudyConfig config;
  config.tokens = kTokens, config.contexts = 5;  // the sample is everything
  const auto all =
      study_corpus(model, stream, kContext, Packing::kPlain, {{of.decomposition, of.layer, of.gain}}, config);
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
    return study_corpus(model, stream, kContext, Packing::kPlain, {{of.decomposition, of.layer, of.gain}},
                        config);
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
  const auto found = study_corpus(model, random_stream(), kContext, Packing::kPlain,
                                  {{of.decomposition, of.layer, of.gain}}, config)
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
  const at::NoGradGuard no_grad;
  const auto all = study_corpus(model, random_stream(), kContext, Packing::kDocuments,
                                {{of.decomposition, of.layer, of.gain}}, {100});
  write_corpus_study(folder.path(), all);
  const SafetensorsFile file(folder / "corpus.safetensors");
  CHECK(file.tensor("layer_1.r2").sizes() == at::IntArrayRef({3, 4}));
  CHECK(file.tensor("layer_1.contribution_mean").equal(all.layers[0].contribution_mean));
  CHECK(all.tokens == 100 - 4);
}

}  // namespace
}  // namespace bilens
