#include "bilens/model/decoder_config.h"

#include <algorithm>

#include "caught.h"

namespace bilens::decoder_config_test {
namespace {

Json plain() {
  return {{"model_type", "llama"},     {"vocab_size", 100},
          {"hidden_size", 16},         {"intermediate_size", 40},
          {"num_hidden_layers", 2},    {"num_attention_heads", 4},
          {"transformers_version", 7}, {"num_key_value_heads", nullptr}};
}

DecoderConfig with(const Json& changes) {
  Json json = plain();
  json.update(changes);
  return parse_decoder_config(json, "c.json");
}

std::string refusal(const Json& changes) {
  const auto error = test::caught([&] { with(changes); });
  CHECK(error.code() == ExitCode::kBadInput);
  return error.what();
}

using test::contains;

TEST_CASE("null and unknown keys are passed over, and what follows from others is filled in") {
  const auto config = with(Json::object());
  CHECK(config.num_key_value_heads == 4);
  CHECK(config.head_dim == 4);
  CHECK(config.hidden_act == Gate::kSilu);
  CHECK(config.bos_token_id == 1);
  CHECK(config.eos_token_id == std::vector<int64_t>{2});
}

TEST_CASE("old and new spellings read alike") {
  const auto old = with({{"rope_theta", 500},
                         {"rope_scaling", {{"type", "linear"}, {"factor", 2.5}}},
                         {"torch_dtype", "bfloat16"}});
  const auto now =
      with({{"rope_parameters", {{"rope_theta", 500.0}, {"rope_type", "linear"}, {"factor", 2.5}}},
            {"dtype", "bfloat16"}});
  for (const auto& config : {old, now}) {
    CHECK(config.rope.scaling == RopeScaling::kLinear);
    CHECK(config.rope.theta == 500);
    CHECK(config.rope.factor == 2.5);
    CHECK(config.dtype == at::kBFloat16);
  }
  CHECK(with({{"eos_token_id", {5, 6}}, {"bos_token_id", nullptr}}).eos_token_id ==
        std::vector<int64_t>{5, 6});
  CHECK_FALSE(with({{"bos_token_id", nullptr}}).bos_token_id);
}

TEST_CASE("what is written reads back the same") {
  const Json llama3 = {{"rope_type", "llama3"},  {"factor", 8.0},
                       {"low_freq_factor", 1.0}, {"high_freq_factor", 4.0},
                       {"rope_theta", 5e5},      {"original_max_position_embeddings", 64}};
  for (const Json& changes :
       {Json::object(), Json{{"hidden_act", "linear"}, {"head_dim", 6}, {"tie_word_embeddings", true}},
        Json{{"rope_parameters", llama3}, {"eos_token_id", {3, 4}}, {"dtype", "float16"}},
        Json{{"model_type", "mistral"}, {"sliding_window", nullptr}, {"head_dim", 6}},
        Json{{"model_type", "mistral"}, {"sliding_window", 7}},
        Json{{"model_type", "qwen2"}, {"use_sliding_window", true}, {"max_window_layers", 1}},
        Json{{"model_type", "qwen3"}, {"layer_types", {"full_attention", "full_attention"}}},
        Json{{"model_type", "smollm3"}, {"mlp_bias", true}},
        Json{{"model_type", "smollm3"},
             {"no_rope_layers", {1, 0}},
             {"use_sliding_window", true},
             {"sliding_window", 3}}}) {
    const auto written = decoder_config_json(with(changes));
    CHECK(decoder_config_json(parse_decoder_config(written, "c.json")) == written);
  }
}

TEST_CASE("keys that are absent are as in the class of transformers") {
  const auto mistral = with({{"model_type", "mistral"}, {"num_attention_heads", 8}});
  CHECK(mistral.num_key_value_heads == 8);  // null in plain(): as many as query heads
  CHECK(mistral.windows == std::vector<int64_t>{4096, 4096});
  CHECK(mistral.max_position_embeddings == 131072);
  CHECK(with({{"model_type", "mistral"}, {"sliding_window", nullptr}}).windows.empty());
  const auto qwen3 = with({{"model_type", "qwen3"}});
  CHECK(qwen3.head_dim == 128);
  CHECK(qwen3.head_norms);
  CHECK(qwen3.windows.empty());
  CHECK_FALSE(qwen3.bos_token_id);
  CHECK(qwen3.eos_token_id.empty());
  const auto smollm3 =
      with({{"model_type", "smollm3"}, {"num_hidden_layers", 5}, {"num_key_value_heads", 2}});
  CHECK(smollm3.turned == std::vector<bool>{true, true, true, false, true});
  CHECK(smollm3.rope.theta == 2e6);
  CHECK(smollm3.tie_word_embeddings);
  CHECK_FALSE(smollm3.bos_token_id);  // 128000, which so small a vocabulary does not have
  const auto qwen2 = with({{"model_type", "qwen2"}, {"use_sliding_window", true}, {"max_window_layers", 1}});
  CHECK(qwen2.windows == std::vector<int64_t>{0, 4096});
  CHECK(qwen2.head_dim == 4);
  const auto shapes = qwen2.parameter_shapes();
  const auto has = [&](const std::string& name) {
    return std::any_of(shapes.begin(), shapes.end(), [&](const auto& shape) { return shape.first == name; });
  };
  CHECK(has("model.layers.1.self_attn.v_proj.bias"));
  CHECK_FALSE(has("model.layers.1.self_attn.o_proj.bias"));
}

TEST_CASE("layers that are said to be turned or not are one for each") {
  CHECK(
      contains(refusal({{"model_type", "smollm3"}, {"no_rope_layers", {1}}}), "no_rope_layers: expected 2"));
  CHECK(contains(refusal({{"model_type", "smollm3"}, {"no_rope_layers", {1, 2}}}), "no_rope_layers"));
  CHECK(contains(refusal({{"model_type", "smollm3"}, {"no_rope_layer_interval", 0}}),
                 "no_rope_layer_interval"));
}

TEST_CASE("windows that cannot be are named") {
  const Json qwen = {{"model_type", "qwen2"}, {"use_sliding_window", true}};
  const auto refused = [&](Json changes) {
    changes.update(qwen, false);
    return refusal(changes);
  };
  CHECK(contains(refused({{"sliding_window", 0}}), "sliding_window"));
  CHECK(contains(refused({{"layer_types", {"full_attention"}}}),
                 "layer_types: expected 2, one a layer, found 1"));
  CHECK(contains(refused({{"layer_types", {"full_attention", "chunked_attention"}}}), "chunked_attention"));
  CHECK(contains(refusal({{"model_type", "qwen2"}, {"layer_types", {"full_attention", "sliding_attention"}}}),
                 "without use_sliding_window"));
}

TEST_CASE("shapes and their number") {
  const auto config = with({{"num_key_value_heads", 2}, {"mlp_bias", true}});
  // embedding and head 2 * 1600; a layer: norms 32, q and o 2 * 256, k and v 2 * 128, MLP 3 * 640 + 96; norm
  // 16
  CHECK(config.parameter_count() == 3200 + 2 * (32 + 512 + 256 + 1920 + 96) + 16);
  CHECK(config.parameter_shapes().size() == 2 + 1 + 2 * (2 + 4 + 6));
}

TEST_CASE("contradictions and what is not supported are named") {
  CHECK(contains(
      refusal({{"model_type", "gemma"}}),
      R"(model_type: expected "llama", "mistral", "qwen2", "qwen3", "smollm3", found the string "gemma")"));
  CHECK(contains(refusal({{"hidden_size", 18}}), "a multiple of num_attention_heads (4), found 18"));
  CHECK(contains(refusal({{"num_key_value_heads", 3}}), "a divisor of num_attention_heads (4), found 3"));
  CHECK(contains(refusal({{"head_dim", 5}}), "an even number"));
  CHECK(contains(refusal({{"hidden_act", "gelu_new"}}), "\"gelu_new\""));
  CHECK(contains(refusal({{"vocab_size", "100"}}), "vocab_size: expected an integer"));
  CHECK(contains(refusal({{"rope_scaling", {{"rope_type", "yarn"}, {"factor", 2.0}}}}), "\"yarn\""));
  CHECK(contains(refusal({{"rope_scaling", {{"rope_type", "linear"}}}}), "rope_scaling.factor"));
  CHECK(contains(refusal({{"rope_scaling", 3}}), "rope_scaling: expected an object"));
  CHECK(contains(refusal({{"rope_parameters", {{"partial_rotary_factor", 0.5}}}}), "partial_rotary_factor"));
  CHECK(contains(refusal({{"eos_token_id", {1, 100}}}), "eos_token_id"));
  CHECK(contains(refusal({{"torch_dtype", "int8"}}), "torch_dtype"));
  const auto error = test::caught([] { parse_decoder_config({{"model_type", "llama"}}, "c.json"); });
  CHECK(error.problems().size() == 5);
}

}  // namespace
}  // namespace bilens::decoder_config_test
