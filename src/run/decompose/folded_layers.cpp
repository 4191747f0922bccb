#include "bilens/run/folded_layers.h"

#include "decompose_config.h"
#include "model_decomposition.h"

namespace bilens {

FoldedLayers folded_layers(const StoredModel& model, const Json& config) {
  auto parsed = parse_decompose_config(config, "", false);
  parsed.surrogate = SurrogateKind::kCalibrated;  // whose gated layers are read as they are stored
  const auto source = load_layers(model, parsed);
  FoldedLayers folded;
  if (source.fold_norm) folded.norm = source.norm;
  for (const auto& layer : source.layers) folded.layers.emplace_back(layer.number, layer.load().layer);
  return folded;
}

}  // namespace bilens
