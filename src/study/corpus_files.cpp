// What a study on text writes (docs/formats.md), and its summary.
#include <ATen/ATen.h>

#include <cmath>

#include "bilens/core/files.h"
#include "bilens/io/safetensors.h"
#include "bilens/study/corpus_study.h"

namespace bilens {

Json summarize_corpus(const CorpusLayer& layer) {
  const auto squares = layer.part_square.sum(0);
  const auto share = [&](int64_t part) { return (squares[part] / squares.sum()).item<double>(); };
  const auto mean = [](const at::Tensor& values) {
    const double found = values.nanmean().item<double>();
    return std::isnan(found) ? Json() : Json(found);
  };
  const auto by_k = [&](const at::Tensor& values) {
    Json means = Json::array();
    for (const auto& of_k : values.unbind(1)) means.push_back(mean(of_k));
    return means;
  };
  const auto in_spreads = [&](const at::Tensor& values) {  // [n, s]
    const auto middle = std::get<0>(values.to(at::kDouble).median(1));
    return mean(at::where(layer.form_r2.isnan(), NAN, middle / layer.output_std));  // what does not vary
  };
  Json surrogate;
  if (layer.sample_bound.defined())
    surrogate = {{"error", in_spreads(layer.sample_error)}, {"bound", in_spreads(layer.sample_bound)}};
  const auto sampled = static_cast<double>(layer.counts[0][0].sum().item<int64_t>());
  return {{"layer", layer.layer},
          {"directions", layer.r2.size(0)},
          {"quadratic", share(0)},
          {"linear", share(1)},
          {"constant", share(2)},
          {"form_r2", mean(layer.form_r2)},
          {"r2", by_k(layer.r2)},
          {"correlation", by_k(layer.correlation)},
          {"active",
           {{"share", layer.active_count.to(at::kDouble).mean().item<double>() / sampled},
            {"r2", by_k(layer.active_r2)},
            {"correlation", by_k(layer.active_correlation)}}},
          {"surrogate", surrogate}};
}

void write_corpus_study(const std::filesystem::path& directory, const CorpusStudy& study) {
  NamedTensors tensors = {{"tokens", study.ids}, {"sample", study.sample}};
  Json layers = Json::array();
  for (const auto& layer : study.layers) {
    layers.push_back(summarize_corpus(layer));
    const std::string prefix = "layer_" + std::to_string(layer.layer) + ".";
    for (const auto& [name, tensor] : std::vector<std::pair<std::string, at::Tensor>>{
             {"output_mean", layer.output_mean},
             {"output_std", layer.output_std},
             {"contribution_mean", layer.contribution_mean},
             {"contribution_std", layer.contribution_std},
             {"part_mean", layer.part_mean},
             {"part_square", layer.part_square},
             {"form_r2", layer.form_r2},
             {"correlation", layer.correlation},
             {"r2", layer.r2},
             {"contexts.places", layer.context_places},
             {"contexts.projections", layer.context_projections},
             {"quantiles.places", layer.quantile_places},
             {"quantiles.projections", layer.quantile_projections},
             {"histogram.edges", layer.edges},
             {"histogram.counts", layer.counts},
             {"active.count", layer.active_count},
             {"active.r2", layer.active_r2},
             {"active.correlation", layer.active_correlation},
             {"surrogate.error", layer.sample_error},
             {"surrogate.bound", layer.sample_bound}})
      if (tensor.defined()) tensors.emplace_back(prefix + name, tensor.contiguous());
  }
  write_safetensors(directory / "corpus.safetensors", tensors,
                    {{"format", "bilens-corpus"}, {"format_version", "1"}});
  write_text(directory / "corpus.json", format_json({{"format", "bilens-corpus"},
                                                     {"format_version", 1},
                                                     {"data", study.data},
                                                     {"tokens", study.tokens},
                                                     {"window", study.window},
                                                     {"quantiles", kCorpusQuantiles},
                                                     {"vocabulary", study.names},
                                                     {"losses", study.losses},
                                                     {"layers", layers}}));
}

}  // namespace bilens
