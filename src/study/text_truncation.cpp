#include "bilens/study/text_truncation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "bilens/train/document_sums.h"
#include "layer_forms.h"

namespace bilens {

namespace {

std::vector<int64_t> counts_up_to(int64_t pairs) {
  std::vector<int64_t> counts = {0};
  for (int64_t k = 1; k < pairs; k *= 2) counts.push_back(k);
  counts.push_back(pairs);
  return counts;
}

/// A layer that is truncated, with what is summed up of it.
struct Run {
  LayerForms forms;
  at::Tensor dual;
  TruncatedLayer result;
  DocumentSums sums;
};

Run start(const CorpusSource& source, const TextWindows& text, at::Device device) {
  const LayerForms forms(source.decomposition, source.gains, device);
  const TruncatedLayer layer = {source.decomposition.layer, counts_up_to(forms.pairs()), {}};
  return {forms, forms.dual(), layer,
          DocumentSums(text.stream, text.first + text.tokens, static_cast<int64_t>(layer.k.size()))};
}

}  // namespace

LossesRecord truncate_on_text(Decoder& model, const TextWindows& text,
                              const std::vector<CorpusSource>& sources) {
  const at::NoGradGuard no_grad;
  const auto device = model.parameters().front().second.device();
  std::vector<Run> runs;
  for (const auto& source : sources) {
    check_fit(source, model.config());
    runs.push_back(start(source, text, device));
  }
  DocumentSums own(text.stream, text.first + text.tokens, 1);
  text.each("losses", [&](const TokenBatch& batch, ForwardOptions options) {
    const auto tokens = batch.inputs.to(device), targets = batch.targets.to(device);
    const auto losses = model.losses(tokens, targets, options);
    own.add(batch.begins, {losses});
    for (auto& run : runs) {
      std::vector<at::Tensor> changes;
      for (const int64_t k : run.result.k) {
        options.mlp_hook = [&](int64_t layer, const at::Tensor& x, const at::Tensor& y) {
          if (layer != run.result.layer) return y;
          const auto rows_in = x.flatten(0, 1), rows_out = y.flatten(0, 1);
          const int64_t at_once = std::max<int64_t>(1, kPartBytes / (8 * run.forms.directions() * (k + 1)));
          std::vector<at::Tensor> kept;
          for (int64_t first = 0; first < rows_in.size(0); first += at_once) {
            const int64_t count = std::min(at_once, rows_in.size(0) - first);
            kept.push_back(
                run.forms
                    .truncated(rows_in.narrow(0, first, count), rows_out.narrow(0, first, count), k, run.dual)
                    .to(y.scalar_type()));
          }
          return at::cat(kept).view_as(y);
        };
        changes.push_back(model.losses(tokens, targets, options) - losses);
      }
      run.sums.add(batch.begins, changes);
    }
  });
  const auto counted = own.tokens();
  LossesRecord result;
  result.tokens = counted.sum().item<int64_t>();
  result.documents = counted.gt(0).sum().item<int64_t>();
  result.loss = own.sums().sum().item<double>() / static_cast<double>(result.tokens);
  for (auto& run : runs) {
    run.result.change = document_intervals(counted, run.sums.sums());
    result.layers.push_back(run.result);
  }
  return result;
}

}  // namespace bilens
