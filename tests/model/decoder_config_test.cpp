#include "bilens/model/decoder_config.h"

#include <algorithm>
#include <cmath>

#include "catch.h"
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
        Json{{"model_type", "gemma"}, {"hidden_act", "linear"}},
        Json{{"model_type", "gemma2"}, {"final_logit_softcapping", nullptr}, {"query_pre_attn_scalar", 24}},
        Json{{"model_type", "gemma3_text"}, {"sliding_window_pattern", 2}, {"rope_local_base_freq", 100.0}},
        Json{{"model_type", "olmo2"}, {"attention_bias", true}},
        Json{{"model_type", "olmo3"}, {"sliding_window", 7}},
        Json{{"model_type", "olmo3"},
             {"rope_parameters",
              {{"full_attention", {{"rope_type", "yarn"}, {"factor", 8.0}, {"rope_theta", 1e6}}},
               {"sliding_attention", {{"rope_theta", 1e4}}}}}},
        Json{{"rope_scaling",
              {{"rope_type", "yarn"}, {"factor", 4.0}, {"beta_fast", 16.0}, {"attention_factor", 1.25}}}},
        Json{{"model_type", "phi3"},
             {"sliding_window", 3},
             {"rope_parameters",
              {{"rope_type", "longrope"},
               {"short_factor", {1.0, 2.0}},
               {"long_factor", {3.0, 4.0}},
               {"attention_factor", 1.5}}}},
        Json{{"model_type", "smollm3"},
             {"no_rope_layers", {1, 0}},
             {"use_sliding_window", true},
             {"sliding_window", 3}}}) {
    const auto written = decoder_config_json(with(changes));
    CHECK(decoder_config_json(parse_decoder_config(written, "c.json")) == written);
  }
}

TEST_CASE("yarn's keys, and what follows where they are absent") {
  const auto yarn = [](const Json& keys) {
    Json json = {{"rope_type", "yarn"}, {"factor", 4.0}};
    json.update(keys);
    return Json{{"max_position_embeddings", 96}, {"rope_scaling", json}};
  };
  const auto bare = with(yarn(Json::object())).rope;
  CHECK(bare.original_max_position_embeddings == 96);
  CHECK(bare.beta_fast == 32);
  CHECK(bare.beta_slow == 1);
  CHECK(attention_factor(bare) == Approx(0.1 * std::log(4.0) + 1).epsilon(1e-14));
  CHECK_FALSE(decoder_config_json(with(yarn(Json::object())))
                  .at("rope_scaling")
                  .contains("original_max_position_embeddings"));
  const Json keys = {{"beta_fast", 16.0},
                     {"beta_slow", 0.5},
                     {"attention_factor", 1.25},
                     {"original_max_position_embeddings", 48}};
  const auto written = decoder_config_json(with(yarn(keys))).at("rope_scaling");
  for (const auto& [key, value] : keys.items()) CHECK(written.at(key) == value);
  CHECK(attention_factor(with(yarn(keys)).rope) == 1.25);
  CHECK(attention_factor(
            with({{"rope_scaling", {{"rope_type", "linear"}, {"factor", 4.0}, {"attention_factor", 2.0}}}})
                .rope) == 1);
  CHECK(with(yarn({{"beta_fast", nullptr}})).rope.beta_fast == 32);
  CHECK(contains(refusal(yarn({{"beta_fast", 0.5}})), "beta_fast: expected at least beta_slow"));
  CHECK(contains(refusal(yarn({{"truncate", false}})), "truncate"));
  CHECK(contains(refusal(yarn({{"mscale", 1.0}, {"mscale_all_dim", 0.5}})), "attention_factor"));
}

TEST_CASE("keys that are absent are as in the class of transformers") {
  const auto mistral = with({{"model_type", "mistral"}, {"num_attention_heads", 8}});
  CHECK(mistral.num_key_value_heads == 8);  // null in plain(): as many as query heads
  CHECK(mistral.windows == std::vector<int64_t>{4096, 4096});
  CHECK(mistral.max_position_embeddings == 131072);
  CHECK(with({{"model_type", "mistral"}, {"sliding_window", nullptr}}).windows.empty());
  const auto qwen3 = with({{"model_type", "qwen3"}});
  CHECK(qwen3.head_dim == 128);
  CHECK(qwen3.query_key_norms == QueryKeyNorms::kHeads);
  CHECK(qwen3.windows.empty());
  CHECK_FALSE(qwen3.bos_token_id);
  CHECK(qwen3.eos_token_id.empty());
  const auto smollm3 =
      with({{"model_type", "smollm3"}, {"num_hidden_layers", 5}, {"num_key_value_heads", 2}});
  constexpr auto kTurned = Turning::kGlobal;
  CHECK((smollm3.turnings == std::vector<Turning>{kTurned, kTurned, kTurned, Turning::kNone, kTurned}));
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

TEST_CASE("a Gemma's norms, scales, caps and activations") {
  const auto first = with({{"model_type", "gemma"}, {"hidden_act", "gelu"}});
  CHECK(first.hidden_act == Gate::kGeluTanh);
  CHECK(first.one_plus_gains);
  CHECK(first.scales_embedding);
  CHECK(first.head_dim == 256);
  CHECK((first.norm_names() == NormNames{"input_layernorm", "", "post_attention_layernorm", ""}));

  const Json stray = {{"model_type", "gemma2"}, {"hidden_act", "relu"}, {"num_key_value_heads", 4}};
  auto second = with(stray);
  CHECK(second.hidden_act == Gate::kGeluTanh);  // hidden_act is not what it reads
  CHECK(second.windows == std::vector<int64_t>{4096, 0});
  CHECK(second.heads().scale == 1.0 / 16);
  CHECK(second.heads().soft_cap == 50.0);
  CHECK(second.final_logit_softcapping == 30.0);
  CHECK((second.norm_names() == NormNames{"input_layernorm", "post_attention_layernorm",
                                          "pre_feedforward_layernorm", "post_feedforward_layernorm"}));
  Json plain_second = stray;
  plain_second.update(Json{{"hidden_activation", "gelu"}, {"attn_logit_softcapping", nullptr}});
  second = with(plain_second);
  CHECK(second.hidden_act == Gate::kGelu);
  CHECK(second.heads().soft_cap == 0);
  CHECK(decoder_config_json(second).at("attn_logit_softcapping").is_null());  // not the default of the class
  CHECK(decoder_config_json(second).at("hidden_act") == "gelu");

  const auto third = with({{"model_type", "gemma3_text"},
                           {"num_hidden_layers", 3},
                           {"sliding_window_pattern", 3},
                           {"attn_logit_softcapping", 50.0},
                           {"rope_scaling", {{"rope_type", "linear"}, {"factor", 8.0}}}});
  CHECK(third.windows == std::vector<int64_t>{4096, 4096, 0});
  CHECK((third.turnings == std::vector<Turning>{Turning::kLocal, Turning::kLocal, Turning::kGlobal}));
  CHECK(third.heads().soft_cap == 0);  // stored, not applied
  CHECK(third.rope.theta == 1e6);
  CHECK(third.rope.scaling == RopeScaling::kLinear);
  CHECK(third.local_rope->theta == 1e4);
  CHECK(third.local_rope->scaling == RopeScaling::kDefault);

  const Json flat = {{"rope_type", "linear"}, {"factor", 2.0}, {"rope_theta", 500.0}};
  CHECK(contains(refusal({{"model_type", "gemma3_text"}, {"rope_parameters", flat}}),
                 "rope_parameters: expected the objects \"full_attention\""));
  const auto both = with({{"model_type", "gemma3_text"},
                          {"rope_parameters", {{"full_attention", {{"rope_theta", 500.0}}}}},
                          {"rope_scaling", {{"type", "linear"}, {"factor", 2.0}}}});
  CHECK(both.rope.theta == 500);
  CHECK(both.rope.scaling == RopeScaling::kLinear);
  CHECK(both.local_rope->scaling == RopeScaling::kDefault);

  CHECK(contains(refusal({{"model_type", "gemma2"}, {"final_logit_softcapping", 0}}),
                 "final_logit_softcapping"));
  CHECK(contains(refusal({{"model_type", "gemma2"}, {"sliding_window", nullptr}}), "sliding_window"));
  CHECK(contains(refusal({{"model_type", "gemma3_text"}, {"use_bidirectional_attention", true}}),
                 "use_bidirectional_attention: expected false or null"));
}

TEST_CASE("the text part of a model that sees pictures is read") {
  const Json whole = {{"model_type", "gemma3"},
                      {"text_config", {{"hidden_size", 16}, {"num_hidden_layers", 2}, {"sliding_window", 5}}},
                      {"vision_config", {{"hidden_size", 8}}}};
  const auto part = parse_decoder_config(whole, "config.json");
  CHECK(part.type == "gemma3_text");
  CHECK(part.vocab_size == 262208);
  CHECK(part.num_attention_heads == 8);
  Json other = whole;
  other["text_config"]["model_type"] = "llama";
  CHECK(contains(refusal(other), "text_config.model_type: expected \"gemma3_text\""));
}

TEST_CASE("whether the head of a text part is its embedding, the whole says alone") {
  const auto tied = [](const Json& outer, const Json& inner) {
    Json whole = {{"model_type", "gemma3"}, {"text_config", {{"sliding_window", 5}}}};
    if (outer != "absent") whole["tie_word_embeddings"] = outer;
    if (inner != "absent") whole["text_config"]["tie_word_embeddings"] = inner;
    return parse_decoder_config(whole, "config.json").tie_word_embeddings;
  };
  for (const Json& inner : {Json(true), Json(false), Json("absent")}) {
    CHECK(tied(true, inner));
    CHECK(tied("absent", inner));
    CHECK_FALSE(tied(false, inner));
    CHECK_FALSE(tied(nullptr, inner));  // as transformers 5.24 has it
  }
  CHECK(contains(test::caught([&] { tied(1, true); }).what(),
                 "config.json: tie_word_embeddings: expected true, false or null"));
}

TEST_CASE("what is wrong with a rotary embedding is said once") {
  const auto lines = [](const Json& changes) {
    const auto text = refusal(changes);
    return std::count(text.begin(), text.end(), '\n') + 1;
  };
  for (const Json& wrong : {Json("1.0"), Json(nullptr), Json({{1.0}, {2.0}}), Json::array()}) {
    CAPTURE(wrong.dump());
    const Json factors = {{"type", "longrope"}, {"short_factor", wrong}, {"long_factor", {4.0, 4.0}}};
    CHECK(lines({{"model_type", "phi3"}, {"rope_scaling", factors}}) == 1);
  }
  const Json good = {{"type", "longrope"}, {"short_factor", {1.0, 1.0}}, {"long_factor", {4.0, 4.0}}};
  CHECK(with({{"model_type", "phi3"}, {"rope_scaling", good}}).rotary_dim() == 4);
  const Json part = {{"partial_rotary_factor", "0.5"}};
  CHECK(lines({{"model_type", "phi3"}, {"rope_scaling", good}, {"partial_rotary_factor", "0.5"}}) == 1);
  CHECK(lines({{"model_type", "phi3"}, {"rope_scaling", good}, {"hidden_size", "16"}}) == 1);
  CHECK(lines({{"rope_parameters", part}, {"partial_rotary_factor", 0.5}}) == 1);
  const auto both = refusal({{"model_type", "gemma3_text"},
                             {"rope_parameters", {{"full_attention", part}, {"sliding_attention", part}}}});
  CHECK(contains(both, "rope_parameters.full_attention.partial_rotary_factor"));
  CHECK(contains(both, "rope_parameters.sliding_attention.partial_rotary_factor"));
}

TEST_CASE("a Phi-3's angles and its tensors") {
  const Json longrope = {{"model_type", "phi3"},
                         {"partial_rotary_factor", 0.5},
                         {"max_position_embeddings", 131072},
                         {"rope_scaling", {{"type", "su"}, {"short_factor", {1.0}}, {"long_factor", {4.0}}}}};
  const auto config = with(longrope);
  CHECK(config.rope.scaling == RopeScaling::kLongRope);
  CHECK(config.rope.original_max_position_embeddings == 4096);
  CHECK(config.rotary_dim() == 2);
  // √(1 + ln 32 / ln 4096) by hand
  CHECK(*config.rope.attention_factor == Approx(std::sqrt(1 + 5.0 / 12)).epsilon(1e-14));
  const auto written = decoder_config_json(config);
  CHECK(written.at("rope_scaling").size() == 3);  // more keys transformers 4 refuses
  CHECK(parse_decoder_config(written, "written").rope.attention_factor == config.rope.attention_factor);
  const auto stored = config.stored_shapes();
  const auto shape_of = [&](const std::string& name) {
    const auto found =
        std::find_if(stored.begin(), stored.end(), [&](const auto& shape) { return shape.first == name; });
    REQUIRE(found != stored.end());
    return found->second;
  };
  CHECK(shape_of("model.layers.1.self_attn.qkv_proj.weight") == std::vector<int64_t>{48, 16});
  CHECK(shape_of("model.layers.1.mlp.gate_up_proj.weight") == std::vector<int64_t>{80, 16});
  CHECK(config.parts_of("model.layers.1.mlp.gate_up_proj.weight") ==
        std::vector<std::string>{"model.layers.1.mlp.gate_proj.weight", "model.layers.1.mlp.up_proj.weight"});
  Json wrong = longrope;
  wrong["rope_scaling"]["long_factor"] = {1.0, 2.0};
  CHECK(
      contains(refusal(wrong), "long_factor: expected 1 numbers, one for each pair that is turned, found 2"));
  wrong["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 2.0}};
  CHECK(contains(refusal(wrong), "linear"));
}

TEST_CASE("layers that are said to be turned or not are one for each") {
  CHECK(
      contains(refusal({{"model_type", "smollm3"}, {"no_rope_layers", {1}}}), "no_rope_layers: expected 2"));
  CHECK(contains(refusal({{"model_type", "smollm3"}, {"no_rope_layers", {1, 2}}}), "no_rope_layers"));
  CHECK(contains(refusal({{"model_type", "smollm3"}, {"no_rope_layer_interval", 0}}),
                 "no_rope_layer_interval"));
}

TEST_CASE("layers have activations of their own where the config says so") {
  const auto config = with({{"hidden_act", "by_layer"}, {"hidden_acts", {"linear", "silu"}}});
  CHECK(config.hidden_act == Gate::kSilu);
  CHECK(config.gate_of(0) == Gate::kNone);
  CHECK(config.gate_of(1) == Gate::kSilu);
  CHECK_FALSE(config.is_bilinear());
  const Json json = decoder_config_json(config);
  CHECK(json.at("hidden_act") == "by_layer");
  CHECK(json.at("hidden_acts") == Json({"linear", "silu"}));
  CHECK(decoder_config_json(parse_decoder_config(json, "c.json")) == json);
  // Where all are alike there is nothing to tell apart.
  const auto alike = with({{"hidden_act", "by_layer"}, {"hidden_acts", {"linear", "linear"}}});
  CHECK(alike.is_bilinear());
  CHECK(decoder_config_json(alike).at("hidden_act") == "linear");
  // A Gemma 2 has another key; both are written. Names are those of transformers' table in all families.
  for (const std::string type : {"gemma", "gemma2"}) {
    const auto gemma = with({{"model_type", type},
                             {type == "gemma" ? "hidden_act" : "hidden_activation", "by_layer"},
                             {"hidden_acts", {"gelu", "linear"}},
                             {"head_dim", 4}});
    CHECK(gemma.gate_of(0) == Gate::kGelu);
    CHECK(gemma.gated_layers() == std::vector<int64_t>{0});
    CHECK(decoder_config_json(gemma).at("hidden_activation") == "by_layer");
    CHECK(decoder_config_json(gemma).at("hidden_act") == "by_layer");
  }
}

TEST_CASE("activations of layers that cannot be are named") {
  const auto of = [](const Json& acts) {
    return refusal({{"hidden_act", "by_layer"}, {"hidden_acts", acts}});
  };
  CHECK(contains(refusal({{"hidden_act", "by_layer"}}), "hidden_acts: expected an array, not empty"));
  CHECK(contains(of({"silu"}), "expected 2 names, one a layer"));
  CHECK(contains(of({"silu", "sigmoid"}), "found the array [\"silu\",\"sigmoid\"]"));
  CHECK(contains(of({"silu", "gelu"}), "one activation beside \"linear\""));
  CHECK(
      contains(refusal({{"hidden_acts", {"linear", "silu"}}}), "none, or hidden_act \"by_layer\" beside it"));
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
      refusal({{"model_type", "stablelm"}}),
      R"(model_type: expected "llama", "mistral", "qwen2", "qwen3", "smollm3", "phi3", "gemma", "gemma2", )"
      R"("gemma3_text", "olmo2", "olmo3", found the string "stablelm")"));
  CHECK(contains(refusal({{"hidden_size", 18}}), "a multiple of num_attention_heads (4), found 18"));
  CHECK(contains(refusal({{"num_key_value_heads", 3}}), "a divisor of num_attention_heads (4), found 3"));
  CHECK(contains(refusal({{"head_dim", 5}}), "an even number"));
  CHECK(contains(refusal({{"hidden_act", "quick_gelu"}}), "\"quick_gelu\""));
  CHECK(contains(refusal({{"vocab_size", "100"}}), "vocab_size: expected an integer"));
  CHECK(contains(refusal({{"rope_scaling", {{"rope_type", "longrope"}, {"factor", 2.0}}}}), "\"longrope\""));
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
