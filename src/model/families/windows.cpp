#include "windows.h"

#include <algorithm>

namespace bilens::family {

const FieldTable<DecoderConfig>& window_keys() {
  using C = DecoderConfig;
  static const FieldTable<C> table =
      FieldTable<C>("Windows of some layers.")
          .flag("use_sliding_window", &C::use_sliding_window, "Whether layers have windows.")
          .all_of(layer_window_keys());
  return table;
}

const FieldTable<DecoderConfig>& layer_window_keys() {
  using C = DecoderConfig;
  static const FieldTable<C> table =
      FieldTable<C>("Windows of the layers that have them.")
          .value_or("sliding_window", &C::sliding_window, nullptr, window_schema())
          .choices(
              "layer_types", &C::layer_types, "What the queries of each layer see.",
              {{"full_attention", LayerAttention::kFull}, {"sliding_attention", LayerAttention::kSliding}});
  return table;
}

void window_of_all_layers(DecoderConfig& config, const std::string&, std::vector<Problem>&) {
  if (config.sliding_window)
    config.windows.assign(static_cast<size_t>(config.num_hidden_layers), *config.sliding_window);
}

void require_window(DecoderConfig& config, const std::string& where, std::vector<Problem>& problems) {
  config.use_sliding_window = true;
  if (!config.sliding_window && config.layer_types.empty())
    problems.push_back({key_path(where, "sliding_window"), "a number of tokens", "null", ""});
}

void set_windows(DecoderConfig& config, const std::function<bool(int64_t layer)>& slides_by_default,
                 const std::string& where, std::vector<Problem>& problems) {
  const std::string path = where + ": layer_types";
  const bool windowed = config.use_sliding_window && config.sliding_window;
  auto types = config.layer_types;
  for (int64_t i = 0; config.layer_types.empty() && i < config.num_hidden_layers; ++i)
    types.push_back(windowed && slides_by_default(i) ? LayerAttention::kSliding : LayerAttention::kFull);
  if (static_cast<int64_t>(types.size()) != config.num_hidden_layers) {
    problems.push_back(
        {path, std::to_string(config.num_hidden_layers) + ", one a layer", std::to_string(types.size()), ""});
    return;
  }
  if (std::find(types.begin(), types.end(), LayerAttention::kSliding) == types.end()) return;
  if (!windowed) {
    problems.push_back({path, "\"full_attention\" alone without use_sliding_window and sliding_window",
                        "\"sliding_attention\"", ""});
    return;
  }
  for (const auto type : types)
    config.windows.push_back(type == LayerAttention::kSliding ? *config.sliding_window : 0);
}

}  // namespace bilens::family
