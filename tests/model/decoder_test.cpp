#include "bilens/model/decoder.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "bilens/model/decoder_directory.h"
#include "caught.h"
#include "temporary_folder.h"

namespace bilens::decoder_test {
namespace {

DecoderConfig tiny() {
  DecoderConfig config;
  config.vocab_size = 19, config.hidden_size = 16, config.intermediate_size = 24;
  config.num_hidden_layers = 2, config.num_attention_heads = 4, config.num_key_value_heads = 2;
  config.max_position_embeddings = 64, config.initializer_range = 0.3;
  std::vector<Problem> problems;
  config.resolve("", problems);
  REQUIRE(problems.empty());
  return config;
}

at::Tensor random_tokens(at::IntArrayRef shape, uint64_t seed) {
  at::manual_seed(seed);
  return at::randint(2, 19, shape, at::kLong);
}

double difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

// Sums of at most 24 products in two layers, logits of order 10: 100 roundings of 10.
constexpr double kRounding = 100 * 10 * 6e-8;

TEST_CASE("decoding with a cache, in pieces of any size, equals the whole forward pass") {
  const int64_t batch = GENERATE(1, 2);  // a single sequence takes its tokens by a step of their own
  Decoder model(tiny(), at::kCPU, 1);
  const auto tokens = random_tokens({batch, 50}, 2);
  const at::NoGradGuard no_grad;
  const auto whole = model.logits(model.final_states(tokens));
  for (const int64_t first : {1, 7, 37}) {
    auto cache = model.make_cache(batch, 50);
    CHECK(cache.step.has_value() == (batch == 1));
    for (int64_t end = first; end <= 50; ++end) {
      const auto logits = model.next_logits(tokens.slice(1, cache.tokens, end), cache);
      CHECK(difference(logits, whole.select(1, end - 1)) < kRounding);
    }
    CHECK_THROWS_AS(model.next_logits(tokens.slice(1, 0, 1), cache), std::invalid_argument);
  }
}

TEST_CASE("with a cache, dynamic angles are those of its capacity from the first token on") {
  auto config = tiny();
  config.max_position_embeddings = 16;
  config.rope.scaling = RopeScaling::kDynamic;
  config.rope.factor = 2;
  const int64_t batch = GENERATE(1, 2);
  Decoder model(config, at::kCPU, 1);
  const auto tokens = random_tokens({batch, 40}, 2);
  const at::NoGradGuard no_grad;
  const auto whole = model.logits(model.final_states(tokens));
  const auto alone = model.logits(model.final_states(tokens.slice(1, 0, 20)));
  CHECK(difference(alone, whole.slice(1, 0, 20)) > 100 * kRounding);  // the angles of 20 tokens are others
  for (const int64_t first : {1, 7, 37}) {
    auto cache = model.make_cache(batch, 40);
    for (int64_t end = first; end <= 40; ++end) {
      const auto logits = model.next_logits(tokens.slice(1, cache.tokens, end), cache);
      CHECK(difference(logits, whole.select(1, end - 1)) < kRounding);
    }
  }
}

TEST_CASE("a pass step by step is the whole pass, also in float32 from bfloat16 weights") {
  Decoder model(tiny(), at::kCPU, 1);
  std::map<std::string, at::Tensor> rounded;
  for (const auto& [name, weight] : model.parameters()) rounded[name] = weight.to(at::kBFloat16);
  Decoder stored(tiny(), rounded);
  stored.compute_in(at::kFloat);
  const at::NoGradGuard no_grad;
  auto tokens = random_tokens({2, 30}, 2);
  tokens[0][11] = 1;
  std::vector<at::Tensor> states, outputs;
  ForwardOptions options;
  options.document_starts = document_starts(tokens, 1);
  options.states = &states;
  options.mlp_hook = [&](int64_t, const at::Tensor&, const at::Tensor& y) { return outputs.emplace_back(y); };
  for (auto* decoder : {&model, &stored}) {
    outputs.clear();
    const auto last = decoder->final_states(tokens, options);
    CHECK(last.scalar_type() == at::kFloat);
    CHECK(at::equal(decoder->embed(tokens), states[0]));
    const auto after = decoder->add_attention(0, states[0], options.document_starts) + outputs[0];
    CHECK(at::equal(after, states[1]));
  }
}

TEST_CASE("documents in one row are as documents by themselves, gradients included") {
  Decoder packed(tiny(), at::kCPU, 1), apart(tiny(), at::kCPU, 1);
  packed.require_gradients(true);
  apart.require_gradients(true);
  auto tokens = random_tokens({1, 60}, 3);
  const std::vector<int64_t> starts = {0, 1, 20, 58, 60};
  for (size_t i = 0; i + 1 < starts.size(); ++i) tokens[0][starts[i]] = 1;
  ForwardOptions options;
  options.document_starts = document_starts(tokens, 1);
  CHECK(options.document_starts[0][0].item<int64_t>() == 0);
  CHECK(options.document_starts[0][19].item<int64_t>() == 1);
  CHECK(options.document_starts[0][57].item<int64_t>() == 20);
  CHECK(options.document_starts[0][59].item<int64_t>() == 58);

  const auto targets = random_tokens({1, 60}, 4);
  packed.loss_sum(tokens, targets, options).backward();
  const auto states = packed.final_states(tokens, options);
  for (size_t i = 0; i + 1 < starts.size(); ++i) {
    const auto part = tokens.slice(1, starts[i], starts[i + 1]);
    CHECK(difference(states.slice(1, starts[i], starts[i + 1]), apart.final_states(part)) < kRounding);
    apart.loss_sum(part, targets.slice(1, starts[i], starts[i + 1])).backward();
  }
  for (size_t i = 0; i < packed.parameters().size(); ++i) {
    CAPTURE(packed.parameters()[i].first);
    const auto expected = apart.parameters()[i].second.grad();
    CHECK(difference(packed.parameters()[i].second.grad(), expected) <
          1e-5 * expected.norm().item<double>());  // float32 sums of 60 terms in another order
  }
}

TEST_CASE("the loss of a part equals that of its logits; targets below zero do not count") {
  Decoder model(tiny(), at::kCPU, 5);
  const auto tokens = random_tokens({2, 30}, 6);
  auto targets = random_tokens({2, 30}, 7);
  targets[0][3] = -1;
  const at::NoGradGuard no_grad;
  const auto logs = model.logits(model.final_states(tokens)).to(at::kDouble).log_softmax(-1);
  const auto expected = -logs.gather(2, targets.clamp_min(0).unsqueeze(2)).squeeze(2) * targets.ge(0);
  CHECK(difference(model.losses(tokens, targets), expected) < kRounding);
  CHECK(difference(model.loss_sum(tokens, targets), expected.sum()) < 60 * kRounding);
}

TEST_CASE("a hook replaces an MLP's output, and the states are those between layers") {
  Decoder model(tiny(), at::kCPU, 8);
  const auto tokens = random_tokens({1, 9}, 9);
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> states, changed;
  ForwardOptions options;
  options.states = &states;
  const auto plain = model.final_states(tokens, options);
  REQUIRE(states.size() == 3);
  CHECK(at::equal(states.back(), plain));
  std::vector<int64_t> layers;
  options.states = &changed;
  options.mlp_hook = [&](int64_t layer, const at::Tensor& input, const at::Tensor& output) {
    layers.push_back(layer);
    CHECK(input.sizes() == output.sizes());
    return layer == 0 ? output + 1 : output;
  };
  model.final_states(tokens, options);
  CHECK(layers == std::vector<int64_t>{0, 1});
  CHECK(difference(changed[1], states[1] + 1) < kRounding);
  CHECK(difference(changed[2], states[2]) > 1e-3);
}

TEST_CASE("bfloat16 products of float32 weights come near, and their gradients are float32") {
  Decoder model(tiny(), at::kCPU, 10);
  model.require_gradients(true);
  const auto tokens = random_tokens({2, 20}, 11);
  const auto exact = model.loss_sum(tokens, tokens).item<double>();
  model.compute_in(at::kBFloat16);
  const auto loss = model.loss_sum(tokens, tokens);
  loss.backward();
  CHECK(std::abs(loss.item<double>() / exact - 1) < 0.05);  // 8 bits in two layers
  for (const auto& [name, parameter] : model.parameters()) {
    CAPTURE(name);
    CHECK(parameter.grad().scalar_type() == at::kFloat);
    CHECK(at::isfinite(parameter.grad()).all().item<bool>());
  }
}

TEST_CASE("a saved model comes back bit for bit, mapped or copied") {
  const test::TemporaryFolder folder;
  Decoder model(tiny(), at::kCPU, 12);
  save_decoder(folder.path(), model.parameters(), model.config());
  for (const bool copy : {false, true}) {
    DecoderLoadOptions options;
    options.copy = copy;
    auto loaded = load_decoder(folder.path(), options);
    for (size_t i = 0; i < model.parameters().size(); ++i) {
      CHECK(at::equal(model.parameters()[i].second, loaded.parameters()[i].second));
    }
    const auto tokens = random_tokens({1, 8}, 13);
    CHECK(difference(model.final_states(tokens), loaded.final_states(tokens)) < kRounding);
  }
  CHECK(test::names_in(folder.path()) ==
        std::set<std::string>{"config.json", "generation_config.json", "model.safetensors"});
}

TEST_CASE("tokens beyond the vocabulary and weights that are not the config's are named") {
  Decoder model(tiny(), at::kCPU, 14);
  const auto bad = at::full({1, 2}, 19, at::kLong);
  CHECK(test::contains(test::caught([&] { model.final_states(bad); }).what(), "from 0 to 18, found 19"));
  CHECK(test::contains(test::caught([&] { model.final_states(bad - 20); }).what(), "found -1"));
  CHECK(test::contains(test::caught([&] { model.loss_sum(bad - 1, bad); }).what(), "found 19"));

  const test::TemporaryFolder folder;
  auto tensors = model.parameters();
  save_decoder(folder.path(), tensors, model.config());
  const auto refusal = [&](const NamedTensors& changed) {
    write_safetensors(folder / "model.safetensors", changed);
    const auto error = test::caught([&] { load_decoder(folder.path()); });
    CHECK(error.code() == ExitCode::kBadInput);
    return std::string(error.what());
  };
  auto extra = tensors;
  extra.emplace_back("model.layers.0.self_attn.q_proj.bias", at::zeros({16}));
  CHECK(test::contains(refusal(extra), "also model.layers.0.self_attn.q_proj.bias"));
  auto missing = tensors;
  missing.erase(missing.begin());
  CHECK(test::contains(refusal(missing), "model.embed_tokens.weight"));
  auto quantised = tensors;
  quantised[0].second = quantised[0].second.to(at::kChar);
  CHECK(test::contains(refusal(quantised), "Quantised"));
}

}  // namespace
}  // namespace bilens::decoder_test
