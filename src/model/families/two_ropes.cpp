#include "two_ropes.h"

namespace bilens::family {

namespace {

/// The rotary embedding of one type of layer; problems in rope_parameters get its name.
RopeConfig read_rope_of(const std::string& type, const Json& json, const DecoderConfig& config,
                        const std::string& where, std::vector<Problem>& problems) {
  const size_t before = problems.size();
  const auto rope = read_rope(json, config.max_position_embeddings, where, problems);
  const auto inside = key_path(where, "rope_parameters");
  for (size_t i = before; i < problems.size(); ++i)
    if (auto& at = problems[i].where; at.starts_with(inside)) at.insert(inside.size(), "." + type);
  return rope;
}

}  // namespace

void read_two_ropes(const Json& json, const Json& local_theta, DecoderConfig& config,
                    const std::string& where, std::vector<Problem>& problems) {
  const Json given = json.value("rope_parameters", Json()), more = json.value("rope_scaling", Json());
  Json global = json;
  global.erase("original_max_position_embeddings");  // transformers reads it inside alone
  Json local = {{"rope_theta", local_theta}};
  if (given.is_object() && !given.empty()) {
    if (!given.contains("full_attention") && !given.contains("sliding_attention")) {
      problems.push_back({key_path(where, "rope_parameters"),
                          "the objects \"full_attention\" and \"sliding_attention\"", describe(given),
                          "transformers passes others over."});
      return;
    }
    Json full = given.value("full_attention", Json());
    if (full.is_null()) full = Json::object();
    if (full.is_object() && more.is_object()) full.update(more), global.erase("rope_scaling");
    global["rope_parameters"] = full;
    local["rope_parameters"] = given.value("sliding_attention", Json());
  }
  const Json full = given.is_object() ? given.value("full_attention", Json()) : Json();
  const bool is_untyped = full.is_object() && !full.empty() && !full.contains("rope_type");
  if (more.is_object() && more.contains("type") && !more.contains("rope_type") && !is_untyped) {
    problems.push_back({key_path(where, "rope_scaling"), "the key rope_type", "type",
                        "transformers passes \"type\" over in a model with two rotary embeddings."});
  }
  config.rope = read_rope_of("full_attention", global, config, where, problems);
  config.local_rope = read_rope_of("sliding_attention", local, config, where, problems);
  if (config.local_rope->scaling != RopeScaling::kDefault) {
    problems.push_back({where + ": rope_parameters.sliding_attention", "rope_type \"default\"", "another",
                        "Layers with windows are not stretched."});
  }
}

void turn_windows_locally(DecoderConfig& config) {
  for (int64_t i = 0; i < config.num_hidden_layers; ++i)
    config.turnings.push_back(config.window_of(i) > 0 ? Turning::kLocal : Turning::kGlobal);
}

}  // namespace bilens::family
