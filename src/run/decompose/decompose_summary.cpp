#include "decompose_summary.h"

#include <ATen/ATen.h>

#include "bilens/analysis/forms/rounding_floor.h"
#include "bilens/core/memory.h"
#include "bilens/core/progress.h"
#include "bilens/core/text.h"
#include "studies.h"
#include "train/conversion.h"

namespace bilens {

namespace {

Json summarize_layer(const LayerDecomposition& layer) {
  Json summary = {{"layer", layer.layer}, {"method", layer.method}, {"directions", layer.count()}};
  if (layer.has_pairs()) {
    summary["k"] = layer.pairs.k();
    summary["converged"] = layer.pairs.converged.sum().item<int64_t>();
    summary["worst_residual"] = layer.pairs.residuals.max().item<double>();
    if (layer.pairs.certified_bound.defined()) summary["certified"] = count_certified(layer.pairs);
    if (layer.pairs.floor.defined()) {
      summary["unchanged"] = unchanged_directions(layer.pairs).numel();
      summary["floor"] = layer.pairs.floor.max().item<double>();
    }
  }
  if (layer.factors) {
    summary["figures"] = layer.factors->figures;
    summary["words"] = layer.factors->words;
  }
  return summary;
}

/// What eigenpairs came to, in words.
std::string pairs_in_words(const Json& layer, bool difference) {
  const auto count = [&](const char* name) { return layer.value(name, 0LL); };
  const auto top = format("top %lld, ", count("k"));
  const std::string nothing = difference ? kNoChange : "nothing but rounding";
  const long long unchanged = count("unchanged");
  if (unchanged > 0 && unchanged == count("directions"))
    return top + nothing + format(" (nothing above %.1e)", layer.at("floor").get<double>());
  return top + format("%lld converged", count("converged")) +
         (unchanged > 0 ? format(", %s in %lld", nothing.c_str(), unchanged) : "") +
         format(", worst residual %.1e", layer.at("worst_residual").get<double>()) +
         (layer.contains("certified") ? format(", %lld certified", count("certified")) : "");
}

}  // namespace

Json summarize_layers(const Decomposition& decomposition) {
  Json layers = Json::array();
  for (const auto& layer : decomposition.layers) layers.push_back(summarize_layer(layer));
  return layers;
}

Json summarize_decomposition(const std::filesystem::path& model, const std::filesystem::path& out,
                             const Decomposition& decomposition, const Json& layers, double seconds) {
  return {{"model", model.string()},
          {"surrogate", decomposition.info.at("surrogate")},
          {"converted", decomposition.info.at("converted")},
          {"minus", decomposition.info.at("minus")},
          {"out", out.string()},
          {"layers", layers},
          {"seconds", seconds},
          {"peak_memory_bytes", peak_memory()}};
}

std::string decomposition_in_words(const Json& result) {
  std::string text;
  if (!result.at("converted").is_null()) text += conversion_in_words(result.at("converted")) + "\n";
  if (!result.at("surrogate").is_null())
    text += "surrogate: " + result.at("surrogate").at("meaning").get<std::string>() + "\n";
  for (const auto& layer : result.at("layers")) {
    text += format("layer %lld: %lld directions, ", layer.at("layer").get<long long>(),
                   layer.at("directions").get<long long>());
    if (layer.contains("words")) {
      text += layer.at("method").get<std::string>() + ", " + layer.at("words").get<std::string>() + "\n";
    } else {
      text += pairs_in_words(layer, !result.at("minus").is_null()) + "\n";
    }
    for (const auto* study : studies()) text += study->words(layer);
  }
  return text + format_duration(result.at("seconds").get<double>()) + "  " +
         result.at("out").get<std::string>() + "\n";
}

}  // namespace bilens
