#include "bilens/train/image_evaluation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace bilens {

namespace {
constexpr int64_t kBatch = 4096;
}  // namespace

EvaluationMetrics metrics_of(const ImageEvaluation& evaluation, const char* split) {
  EvaluationMetrics metrics;
  metrics.split = split;
  metrics.examples = evaluation.examples;
  metrics.loss = evaluation.loss;
  metrics.accuracy = evaluation.accuracy;
  return metrics;
}

at::Tensor compute_logits(ImageClassifier& model, const ImageSplit& split, const Ranks& ranks) {
  const at::NoGradGuard no_grad;
  const auto device = model->embed->weight.device();
  const auto& c = model->config;
  auto logits = at::zeros({split.size(), c.d_output});
  for (int64_t batch = ranks.rank(); batch * kBatch < split.size(); batch += ranks.count()) {
    const int64_t begin = batch * kBatch, rows = std::min(kBatch, split.size() - begin);
    const auto images = split.images.narrow(0, begin, rows);
    logits.narrow(0, begin, rows).copy_(model(to_inputs(images, c.pixel_mean, c.pixel_std, device)));
  }
  ranks.sum(logits);  // of each row all but one process have 0, so that they stay as they are
  return logits;
}

ImageEvaluation evaluate_logits(const at::Tensor& logits, const at::Tensor& labels) {
  // Summed in float64: ten thousand float32 terms would cost digits that people compare.
  const auto loss = at::cross_entropy_loss(logits.to(at::kDouble), labels);
  const auto hits = logits.argmax(1).eq(labels).sum().item<int64_t>();
  return {labels.size(0), loss.item<double>(),
          static_cast<double>(hits) / static_cast<double>(labels.size(0))};
}

ImageEvaluation evaluate_classifier(ImageClassifier& model, const ImageSplit& split, const Ranks& ranks) {
  return evaluate_logits(compute_logits(model, split, ranks), split.labels.cpu());
}

}  // namespace bilens
