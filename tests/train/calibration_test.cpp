#include "bilens/train/calibration.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "bilens/model/decoder_directory.h"
#include "bilens/model/family.h"
#include "bilens/train/text_evaluation.h"
#include "caught.h"
#include "temporary_folder.h"
#include "test_data.h"

namespace bilens::calibration_test {
namespace {

using NamedWeights = std::map<std::string, at::Tensor>;

DecoderConfig tiny(Gate gate, bool mlp_bias = false) {
  DecoderConfig config;
  config.vocab_size = 23, config.hidden_size = 16, config.intermediate_size = 24;
  config.num_hidden_layers = 2, config.num_attention_heads = 4, config.num_key_value_heads = 2;
  config.max_position_embeddings = 64, config.initializer_range = 0.4;
  config.hidden_act = gate, config.mlp_bias = mlp_bias;
  std::vector<Problem> problems;
  config.resolve("", problems);
  REQUIRE(problems.empty());
  return config;
}

/// Documents of 25 random tokens.
TokenStream text(int64_t tokens, uint64_t seed) {
  at::manual_seed(seed);
  TokenStream stream{at::randint(2, 23, {tokens}, at::kLong).to(at::kUInt16), {}};
  for (int64_t begin = 0; begin < tokens; begin += 25) stream.starts.push_back(begin);
  return stream;
}

NamedWeights weights_of(const Decoder& model) {
  return {model.parameters().begin(), model.parameters().end()};
}

CalibrationConfig settings(int64_t tokens, bool refit, int64_t sweeps) {
  CalibrationConfig config;
  config.tokens = tokens, config.refit = refit, config.sweeps = sweeps;
  return config;
}

/// Inputs and outputs [n, d] of a layer's MLP.
std::pair<at::Tensor, at::Tensor> mlp_rows(Decoder& model, const at::Tensor& tokens, int64_t layer) {
  const at::NoGradGuard no_grad;
  std::pair<at::Tensor, at::Tensor> rows;
  ForwardOptions options;
  options.mlp_hook = [&](int64_t index, const at::Tensor& x, const at::Tensor& y) {
    if (index == layer) rows = {x.flatten(0, 1), y.flatten(0, 1)};
    return y;
  };
  model.final_states(tokens, options);
  return rows;
}

at::Tensor windows(const TokenStream& stream, int64_t count, int64_t context) {
  std::vector<int64_t> begins;
  for (int64_t i = 0; i < count; ++i) begins.push_back(i * context);
  return make_batch(stream, begins, context + 1).inputs;
}

double relative(const at::Tensor& found, const at::Tensor& expected) {
  return ((found - expected).norm() / expected.norm()).item<double>();
}

TEST_CASE("the layer has the least-squares fit of each unit's product by five terms, in float64") {
  Decoder teacher(tiny(Gate::kSilu), at::kCPU, 1);
  const auto stream = text(1761, 2);
  auto result = calibrate(teacher, stream, 32, Packing::kPlain, settings(1600, false, 0));
  CHECK(result.account.tokens == 1600);
  CHECK(result.account.held_out_tokens == 160);
  CHECK(result.model.config().hidden_act == Gate::kNone);
  CHECK(result.model.config().mlp_bias);

  // The first layer's inputs are the teacher's. Every tenth document of 25 tokens is kept for choices.
  const auto tokens = windows(stream, 50, 32);
  const auto x = mlp_rows(teacher, tokens, 0).first.to(at::kDouble);
  auto weights = weights_of(teacher);
  const auto weight = [&](const std::string& name) {
    return weights.at("model.layers.0.mlp." + name + ".weight").to(at::kDouble);
  };
  const auto z = x.mm(weight("gate_proj").t()), v = x.mm(weight("up_proj").t()), f = z * z.sigmoid();
  std::vector<at::Tensor> states;
  ForwardOptions options;
  options.states = &states;
  {
    const at::NoGradGuard no_grad;
    teacher.final_states(tokens, options);
  }
  const auto stream_after = states[1].flatten(0, 1).to(at::kDouble);
  auto seen = at::ones({1600}, at::kDouble);
  for (int64_t document = 9; document < 64; document += 10) seen.narrow(0, document * 25, 25).zero_();
  const auto w = seen / (stream_after.square().mean(1) + 1e-6), root = w.sqrt().unsqueeze(1);
  auto products = at::empty_like(z);
  for (int64_t j = 0; j < z.size(1); ++j) {
    const auto zj = z.select(1, j), vj = v.select(1, j);
    const auto columns = at::stack({zj * vj, vj, zj * zj, zj, at::ones_like(zj)}, 1);
    const auto target = (f * v).select(1, j).unsqueeze(1);
    products.select(1, j).copy_(
        columns.mm(std::get<0>(at::linalg_lstsq(columns * root, target * root))).squeeze(1));
  }
  const auto expected = products.mm(weight("down_proj").t());
  // The result is float32, whose factors have biases that cancel in part.
  CHECK(relative(mlp_rows(result.model, tokens, 0).second.to(at::kDouble), expected) < 1e-5);
}

TEST_CASE("where the factors of units are correlated, what stands for products is worth more than lines") {
  Decoder teacher(tiny(Gate::kSilu), at::kCPU, 15);
  auto weights = weights_of(teacher);
  for (const std::string layer : {"0", "1"}) {
    const auto name = "model.layers." + layer + ".mlp.";
    weights.at(name + "up_proj.weight").add_(weights.at(name + "gate_proj.weight"));
  }
  const auto result = calibrate(teacher, text(3600, 16), 32, Packing::kPlain, settings(3200, false, 0));
  for (const auto& layer : result.account.layers) {
    CHECK(layer.error_scaled < 0.97 * *layer.error_lines);  // where they are not correlated both are alike
    CHECK(*layer.product_r2 > 0.5);
    CHECK(*layer.product_r2 < 1.0);
  }
}

TEST_CASE("a gate that is affine where the data lie converts without loss") {
  // ReLU with gate biases that keep it positive: f(z) = z.
  Decoder teacher(tiny(Gate::kRelu, true), at::kCPU, 3);
  for (auto& [name, tensor] : weights_of(teacher)) {
    if (name.ends_with("gate_proj.bias")) tensor.fill_(20.0);
    if (name.ends_with("up_proj.bias") || name.ends_with("down_proj.bias")) tensor.normal_(0, 0.3);
  }
  const auto stream = text(1001, 4);
  for (const bool refit : {false, true}) {
    auto result = calibrate(teacher, stream, 25, Packing::kDocuments, settings(1000, refit, 1));
    const at::NoGradGuard no_grad;
    const auto tokens = windows(stream, 8, 25);
    // Float32 products of order 100 times the result, twice.
    CHECK(relative(result.model.final_states(tokens), teacher.final_states(tokens)) < 1e-4);
    for (const auto& layer : result.account.layers) {
      CHECK(layer.unit_r2 == Approx(1.0).margin(1e-9));
      CHECK(layer.error < 1e-8);
    }
  }
}

TEST_CASE("refit and sweeps lower the held-back error of every layer, and the loss against the teacher") {
  Decoder teacher(tiny(Gate::kSilu), at::kCPU, 5);
  const auto stream = text(4097, 6);
  double last = 1e30;
  for (const auto& config : {settings(4096, false, 0), settings(4096, true, 0), settings(4096, true, 3)}) {
    auto result = calibrate(teacher, stream, 32, Packing::kPlain, config);
    for (const auto& layer : result.account.layers) {
      CHECK(layer.error_refitted <= layer.error_scaled);
      CHECK(layer.error <= layer.error_refitted);
      CHECK(layer.sweeps >= std::min<int64_t>(config.sweeps, 1));
      CHECK(layer.sweeps <= config.sweeps);
      CHECK(layer.unit_r2 > 0.5);
      CHECK(layer.unit_r2 < 1.0);
    }
    const at::NoGradGuard no_grad;
    const auto tokens = windows(text(2000, 7), 50, 32);  // other tokens than those of the fits
    const double error = relative(result.model.final_states(tokens), teacher.final_states(tokens));
    CHECK(error < 0.97 * last);
    last = error;
  }
}

TEST_CASE("what is reported is the error on documents that neither fits nor choices saw") {
  Decoder teacher(tiny(Gate::kSilu), at::kCPU, 8);
  const auto stream = text(1793, 9);
  // 51 windows to fit to and 5 behind them; the document that begins in the one and ends in the other is
  // neither's.
  auto result = calibrate(teacher, stream, 32, Packing::kPlain, settings(1632, true, 2));
  CHECK(result.account.held_out_tokens == 1792 - 1650);
  const auto tokens = windows(stream, 56, 32);
  const auto t = mlp_rows(teacher, tokens, 0).second, y = mlp_rows(result.model, tokens, 0).second;
  std::vector<at::Tensor> states;
  ForwardOptions options;
  options.states = &states;
  const at::NoGradGuard no_grad;
  teacher.final_states(tokens, options);
  auto w = 1 / (states[1].flatten(0, 1).square().mean(1) + 1e-6);
  w.narrow(0, 0, 1650).zero_();
  const double error = ((w * (t - y).square().sum(1)).sum() / (w * t.square().sum(1)).sum()).item<double>();
  CHECK(result.account.layers[0].error == Approx(error).epsilon(1e-4));  // float32 outputs
}

TEST_CASE("documents held out change no weight of the result") {
  Decoder teacher(tiny(Gate::kSilu), at::kCPU, 8);
  const auto stream = text(1793, 9);
  auto other = stream;
  other.ids = stream.ids.clone();
  other.ids.narrow(0, 1650, 143).copy_(text(143, 3).ids);
  const auto config = settings(1632, true, 2);
  const auto one = calibrate(teacher, stream, 32, Packing::kDocuments, config),
             two = calibrate(teacher, other, 32, Packing::kDocuments, config);
  const auto expected = weights_of(one.model);
  for (const auto& [name, weight] : two.model.parameters()) CHECK(at::equal(weight, expected.at(name)));
  CHECK(one.account.layers[0].error != two.account.layers[0].error);
}

TEST_CASE("of a short text the end is held out") {
  Decoder teacher(tiny(Gate::kSilu), at::kCPU, 8);
  const auto result = calibrate(teacher, text(801, 9), 32, Packing::kPlain, settings(800, false, 0));
  CHECK(result.account.tokens == 23 * 32);  // a share of .1/1.1 of 25 windows is held out
  CHECK(result.account.held_out_tokens == 800 - 750);
}

TEST_CASE("without biases the result has none, and a bfloat16 teacher is computed in float32") {
  Decoder teacher(tiny(Gate::kGelu), at::kCPU, 10);
  NamedWeights rounded, same;
  for (const auto& [name, weight] : teacher.parameters()) {
    rounded[name] = weight.to(at::kBFloat16);
    same[name] = rounded[name].to(at::kFloat);
  }
  const auto stream = text(801, 11);
  auto config = settings(800, true, 1);
  config.bias = false;
  const auto of_bfloat16 = calibrate(Decoder(teacher.config(), rounded), stream, 32, Packing::kPlain, config);
  const auto of_float32 = calibrate(Decoder(teacher.config(), same), stream, 32, Packing::kPlain, config);
  CHECK_FALSE(of_bfloat16.model.config().mlp_bias);
  const auto expected = weights_of(of_float32.model);
  for (const auto& [name, weight] : of_bfloat16.model.parameters()) {
    CHECK(weight.scalar_type() == at::kFloat);
    CHECK(at::equal(weight, expected.at(name)));
  }
}

TEST_CASE("what is written is a bilinear Llama that loads again") {
  const test::TemporaryFolder folder;
  Decoder teacher(tiny(Gate::kSilu), at::kCPU, 12);
  auto result = calibrate(teacher, text(801, 13), 32, Packing::kDocuments, settings(800, true, 1));
  save_decoder(folder.path(), result.model.parameters(), result.model.config());
  auto loaded = load_decoder(folder.path());
  CHECK(loaded.config().hidden_act == Gate::kNone);
  const auto tokens = windows(text(100, 14), 3, 32);
  const at::NoGradGuard no_grad;
  CHECK(relative(loaded.final_states(tokens), result.model.final_states(tokens)) < 1e-6);
}

TEST_CASE("some layers are converted, the others keep their gate and their weights") {
  Decoder teacher(tiny(Gate::kSilu), at::kCPU, 12);
  const auto stream = text(2001, 13);
  auto config = settings(1600, true, 1);
  config.layers = {1};
  auto result = calibrate(teacher, stream, 25, Packing::kDocuments, config);
  CHECK(result.model.config().gate_of(0) == Gate::kSilu);
  CHECK(result.model.config().gate_of(1) == Gate::kNone);
  CHECK(result.account.layers.size() == 1);
  CHECK(result.account.layers[0].layer == 1);
  CHECK(result.account.layers[0].error < 0.5);
  const auto own = weights_of(teacher), made = weights_of(result.model);
  for (const auto& [name, weight] : own) {
    const bool converted = name.find("layers.1.mlp.") != std::string::npos;
    CHECK(at::equal(weight, made.at(name)) != converted);
  }
  // What stands in front of the converted layer is the teacher's, to the bit.
  const auto tokens = windows(stream, 4, 25);
  CHECK(at::equal(mlp_rows(teacher, tokens, 0).second, mlp_rows(result.model, tokens, 0).second));
  const auto expected = mlp_rows(teacher, tokens, 1).second;
  CHECK(relative(mlp_rows(result.model, tokens, 1).second, expected) < 0.7);

  // The rest is converted by a second stage, for which the first's layers are as they are.
  config.layers.reset();
  const auto whole = calibrate(result.model, stream, 25, Packing::kDocuments, config);
  CHECK(whole.model.config().is_bilinear());
  CHECK(whole.account.layers.size() == 1);
  CHECK(at::equal(weights_of(whole.model).at("model.layers.1.mlp.gate_proj.weight"),
                  made.at("model.layers.1.mlp.gate_proj.weight")));
}

/// Documents of 25 tokens as the model writes them, so that no other model has a lower loss on average.
TokenStream text_of(Decoder& model, int64_t documents) {
  const at::NoGradGuard no_grad;
  at::manual_seed(4);
  auto tokens = at::ones({documents, 1}, at::kLong);
  while (tokens.size(1) < 25) {
    const auto logits = model.logits(model.final_states(tokens).select(1, -1));
    tokens = at::cat({tokens, logits.softmax(-1).multinomial(1)}, 1);
  }
  TokenStream stream{tokens.flatten().to(at::kUInt16), {}};
  for (int64_t i = 0; i < documents; ++i) stream.starts.push_back(25 * i);
  return stream;
}

TEST_CASE("a budget converts the cheapest layers that stay within it together") {
  Decoder teacher(tiny(Gate::kSilu), at::kCPU, 12);
  const auto stream = text_of(teacher, 400);
  auto config = settings(5000, false, 0);
  config.held_out = 0.5;
  const auto all = calibrate(teacher, stream, 25, Packing::kDocuments, config);
  const auto& costs = all.account.costs->layers;
  REQUIRE(costs.size() == 2);
  CHECK(costs[0].alone <= costs[1].alone);
  CHECK(costs[0].together == costs[0].alone);
  REQUIRE(costs[0].alone > 0);  // or a budget of 0 would do
  REQUIRE(costs[1].together > costs[0].together);
  config.budget = 0.5 * (costs[0].together + costs[1].together);
  const auto some = calibrate(teacher, stream, 25, Packing::kDocuments, config);
  CHECK(some.account.layers.size() == 1);
  CHECK(some.account.layers[0].layer == costs[0].layer);
  CHECK(some.model.config().gate_of(costs[0].layer) == Gate::kNone);
  CHECK(some.model.config().gate_of(costs[1].layer) == Gate::kSilu);
  config.budget = 0.5 * costs[0].together;
  const auto refused = test::caught([&] { calibrate(teacher, stream, 25, Packing::kDocuments, config); });
  CHECK(refused.code() == ExitCode::kBadInput);
  CHECK(test::contains(refused.what(), "the cheapest layer, " + std::to_string(costs[0].layer)));
  config.layers = {2};
  CHECK(test::contains(
      test::caught([&] { calibrate(teacher, stream, 25, Packing::kDocuments, config); }).what(),
      "There is no such layer."));
}

TEST_CASE("stories260K becomes bilinear and still tells stories") {
  if (!test::have_test_data("stories260K") || !test::have_test_data("tinystories")) return;
  const auto folder = test::test_data_folder();
  const Weights weights(folder / "stories260K/stories260K.bin");
  auto teacher = load_decoder(weights, decoder_config_of_file(weights).value());
  const Tokenizer tokenizer(folder / "stories260K/tok512.model");
  TextDataConfig data;
  data.path = folder / "tinystories/tinystories-sample.txt.gz";
  data.split = TextSplit::kValidation;
  auto stream = load_text(data, tokenizer);
  const TokenStream unseen{stream.ids.slice(0, 40000, 50000), {0}};
  const auto loss = [&](Decoder& model) { return evaluate_text(model, unseen, 512).loss; };
  auto scaled = calibrate(teacher, stream, 512, Packing::kPlain, settings(8192, false, 0));
  auto fitted = calibrate(teacher, stream, 512, Packing::kPlain, settings(8192, true, 1));
  // The whole stage on 100,000 training tokens loses about a quarter of a nat; a twelfth of them, one sweep.
  const double published = loss(teacher), without_refit = loss(scaled.model), whole = loss(fitted.model);
  CAPTURE(published, without_refit, whole);
  CHECK(without_refit < published + 1.0);
  CHECK(whole < published + 0.4);
  CHECK(whole < without_refit);
}

TEST_CASE("a bilinear teacher, too little text and activations that overflow are refused") {
  const auto stream = text(801, 15);
  const auto config = settings(800, true, 0);
  const Decoder bilinear(tiny(Gate::kNone), at::kCPU, 1);
  Decoder gated(tiny(Gate::kSilu), at::kCPU, 1);
  CHECK(test::caught([&] { calibrate(bilinear, stream, 32, Packing::kPlain, config); }).code() ==
        ExitCode::kUsage);
  const auto few = test::caught([&] { calibrate(gated, text(60, 1), 32, Packing::kPlain, config); });
  CHECK(few.code() == ExitCode::kBadInput);
  CHECK(test::contains(few.what(), "at least two windows of 32 tokens to fit to, and one behind them"));
  weights_of(gated).at("model.layers.1.mlp.up_proj.weight").fill_(INFINITY);
  const auto broken = test::caught([&] { calibrate(gated, stream, 32, Packing::kPlain, config); });
  CHECK(broken.code() == ExitCode::kBadInput);
  CHECK(test::contains(broken.what(), "layer 1"));
}

}  // namespace
}  // namespace bilens::calibration_test
