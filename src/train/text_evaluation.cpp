#include "bilens/train/text_evaluation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/core/text.h"
#include "bilens/data/token_windows.h"

namespace bilens {

namespace {
constexpr int64_t kEvaluatedAtOnce = 8192;  // products of a small model are then wide enough
}  // namespace

double TextEvaluation::perplexity() const { return std::exp(loss); }

EvaluationMetrics metrics_of(const TextEvaluation& evaluation, const char* split) {
  EvaluationMetrics metrics;
  metrics.split = split;
  metrics.tokens = evaluation.tokens;
  metrics.loss = evaluation.loss;
  metrics.perplexity = evaluation.perplexity();
  return metrics;
}

TextEvaluation evaluate_text(Decoder& model, const TokenStream& stream, int64_t context) {
  const at::NoGradGuard no_grad;
  const auto device = model.parameters().front().second.device();
  TextEvaluation result;
  double sum = 0.0;
  Progress progress("evaluate", stream.size(), "tokens");
  for (const auto& windows :
       evaluation_windows(stream.size(), context, windows_within(kEvaluatedAtOnce, context))) {
    if (stop_requested()) throw Stopped{};
    const auto batch = make_batch(stream, windows.begins, windows.window);
    const auto losses = model.losses(batch.inputs.to(device), batch.targets.to(device));
    sum += losses.sum(at::kDouble).item<double>();
    result.tokens += batch.targets.numel();
    result.loss = sum / static_cast<double>(result.tokens);
    progress.advance(static_cast<int64_t>(windows.begins.size()) * windows.window,
                     format("loss %.4f", result.loss));
  }
  return result;
}

}  // namespace bilens
