#include "bilens/model/training_decoder.h"

#include "caught.h"

namespace bilens::training_decoder_test {
namespace {

using test::contains;

DecoderConfig read(const Json& value) {
  std::vector<Problem> problems;
  auto config = read_training_decoder(value, "config: model", problems);
  if (!problems.empty()) throw Error(ExitCode::kUsage, problems);
  return config;
}

std::string refusal(const Json& value) {
  return test::caught([&] { read(value); }).what();
}

TEST_CASE("a decoder of another type has its family's defaults, and a Llama's sizes") {
  const auto config =
      read({{"type", "gemma2"}, {"hidden_size", 48}, {"num_attention_heads", 4}, {"bos_token_id", 3}});
  CHECK(config.type == "gemma2");
  CHECK(config.hidden_size == 48);
  CHECK(config.num_hidden_layers == DecoderConfig{}.num_hidden_layers);
  CHECK(config.head_dim == 256);
  CHECK(config.hidden_act == Gate::kGeluTanh);
  CHECK(config.one_plus_gains);
  CHECK(config.bos_given == 3);
  CHECK_FALSE(config.eos_given);
}

TEST_CASE("what is written of a type reads back the same") {
  for (const Json& value :
       {Json{{"type", "llama"}, {"rope", {{"rope_theta", 500.0}}}},
        Json{{"type", "gemma3_text"}, {"sliding_window", 7}, {"rope_local_base_freq", 100.0}},
        Json{{"type", "qwen3"}, {"rope_scaling", {{"rope_type", "linear"}, {"factor", 2.0}}}},
        Json{{"type", "phi3"}, {"partial_rotary_factor", 0.5}, {"eos_token_id", {3, 4}}},
        Json{{"type", "smollm3"}, {"no_rope_layer_interval", 2}, {"mlp_bias", true}}}) {
    const auto written = write_training_decoder(read(value));
    CAPTURE(written.dump());
    CHECK(write_training_decoder(read(written)) == written);
  }
}

TEST_CASE("what a type does not have is named") {
  CHECK(contains(refusal({{"type", "gemma2"}, {"hidden_sice", 3}}), "hidden_sice"));
  CHECK(contains(refusal({{"type", "gemma2"}, {"mlp_bias", true}}), "mlp_bias"));
  CHECK(contains(refusal({{"type", "gemma2"}, {"hidden_act", "linear"}}), "hidden_act"));  // it reads another
  CHECK(contains(refusal({{"type", "llama"}, {"sliding_window", 3}}), "sliding_window"));
  CHECK(contains(refusal({{"type", "stablelm"}}), "type: expected one of \"llama\", \"mistral\""));
  CHECK(contains(refusal({{"type", "mistral"}, {"sliding_window", 0}}), "sliding_window"));
}

TEST_CASE("the schema says which keys a type has beside a Llama's") {
  const auto schema = training_decoder_schema();
  const auto& properties = schema.at("properties");
  CHECK(contains(properties.at("query_pre_attn_scalar").at("description"),
                 "Only for type gemma2, gemma3_text."));
  CHECK(contains(properties.at("type").at("enum").dump(), "\"olmo2\""));
}

}  // namespace
}  // namespace bilens::training_decoder_test
