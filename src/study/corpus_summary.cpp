// A layer of a study on text in a few numbers.
#include <ATen/ATen.h>

#include <cmath>

#include "bilens/study/corpus_study.h"

namespace bilens {

CorpusSummary summarize_corpus(const CorpusLayer& layer) {
  const auto squares = layer.part_square.sum(0);
  const auto share = [&](int64_t part) { return (squares[part] / squares.sum()).item<double>(); };
  const auto mean = [](const at::Tensor& values) { return values.nanmean().item<double>(); };
  const auto by_k = [&](const at::Tensor& values) {
    std::vector<double> means;
    for (const auto& of_k : values.unbind(1)) means.push_back(mean(of_k));
    return means;
  };
  const auto in_spreads = [&](const at::Tensor& values) {  // [n, s]
    const auto middle = std::get<0>(values.to(at::kDouble).median(1));
    return mean(at::where(layer.form_r2.isnan(), NAN, middle / layer.output_std));  // what does not vary
  };
  const auto sampled = static_cast<double>(layer.counts[0][0].sum().item<int64_t>());
  CorpusSummary summary;
  summary.layer = layer.layer;
  summary.directions = layer.r2.size(0);
  summary.quadratic = share(0), summary.linear = share(1), summary.constant = share(2);
  summary.form_r2 = mean(layer.form_r2);
  summary.r2 = by_k(layer.r2);
  summary.correlation = by_k(layer.correlation);
  summary.active = {layer.active_count.to(at::kDouble).mean().item<double>() / sampled, by_k(layer.active_r2),
                    by_k(layer.active_correlation)};
  if (layer.sample_bound.defined())
    summary.surrogate = {in_spreads(layer.sample_error), in_spreads(layer.sample_bound)};
  return summary;
}

}  // namespace bilens
