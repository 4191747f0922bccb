#include "bilens/study/attack.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "bilens/study/bounded_perturbation.h"
#include "bilens/study/gradient_attack.h"
#include "bilens/train/image_evaluation.h"

namespace bilens {

namespace {

constexpr double kExact = 1e-6;  // of the upper bound
constexpr int64_t kCurvePoints = 64;

ImageSplit first_images(const ImageSplit& split, int64_t count) {
  const int64_t n = count > 0 ? std::min(count, split.size()) : split.size();
  return {split.images.narrow(0, 0, n), split.labels.narrow(0, 0, n).to(at::kLong)};
}

/// NaN where there is none, and where it is not finite.
double median_of(const at::Tensor& values) {
  if (values.numel() == 0) return NAN;
  const double median = values.median().item<double>();
  return std::isfinite(median) ? median : NAN;
}

/// @param right bool [N]: which images count
PerturbationSummary summarize_bounds(const at::Tensor& lower, const at::Tensor& upper,
                                     const at::Tensor& right) {
  const auto low = lower.masked_select(right), high = upper.masked_select(right);
  const auto reached = high.isfinite();
  const auto gaps = ((high - low) / high.clamp_min(1e-300)).masked_select(reached);
  PerturbationSummary summary;
  summary.images = low.numel();
  summary.exact = gaps.le(kExact).sum().item<int64_t>();
  summary.unreached = low.numel() - reached.sum().item<int64_t>();
  summary.median_lower = median_of(low);
  summary.median_upper = median_of(high);
  summary.largest_gap = gaps.numel() > 0 ? gaps.max().item<double>() : NAN;
  return summary;
}

/// The share of each change's squared length by which pixels leave their range: [N].
at::Tensor beyond_share(const at::Tensor& inputs, const at::Tensor& steps, const PixelRange& range) {
  const auto moved = inputs + steps;
  const auto beyond = moved - moved.clamp(range.least, range.most);
  return beyond.square().sum(1) / steps.square().sum(1).clamp_min(1e-300);
}

/// From 0 to where nearly no image is left.
std::vector<double> curve_lengths(const at::Tensor& lower) {
  const auto finite = lower.masked_select(lower.isfinite());
  const double last = finite.numel() > 0 ? at::quantile(finite, 0.99).item<double>() : 1.0;
  std::vector<double> lengths;
  for (int64_t i = 0; i < kCurvePoints; ++i)
    lengths.push_back(last * static_cast<double>(i) / static_cast<double>(kCurvePoints - 1));
  return lengths;
}

/// @param right bool [N] of all images, wrong ones among them
RobustAccuracy robust_accuracy(const std::vector<double>& lengths, const at::Tensor& lower,
                               const at::Tensor& upper, const at::Tensor& right) {
  RobustAccuracy curve{lengths, {}, {}};
  const auto count = static_cast<double>(right.numel());
  for (const double length : lengths) {
    curve.lower.push_back(lower.gt(length).logical_and(right).sum().item<double>() / count);
    curve.upper.push_back(upper.gt(length).logical_and(right).sum().item<double>() / count);
  }
  return curve;
}

AttackSummary summarize_attack(const AttackRecord& record, const at::Tensor& right, int64_t steps) {
  const auto length = record.gradient_length, found = length.isfinite().logical_and(right);
  return {steps, found.sum().item<int64_t>(),
          length.lt(record.lower).logical_and(right).sum().item<int64_t>(),
          median_of((length / record.upper).masked_select(found.logical_and(record.upper.isfinite())))};
}

/// Rightly classified images spread over the range of lengths, the nearest to another class first.
at::Tensor choose_shown(const at::Tensor& upper, const at::Tensor& right, int64_t count) {
  const auto rows = upper.isfinite().logical_and(right).nonzero().squeeze(1);
  const auto order = rows.index_select(0, at::argsort(upper.index_select(0, rows), 0, false));
  const int64_t n = std::min(count, order.numel());
  if (n < 2) return order.narrow(0, 0, n);
  return order.index_select(0,
                            at::linspace(0, static_cast<double>(order.numel() - 1), n).round().to(at::kLong));
}

void add_pictures(const ImageSplit& split, const SmallestPerturbations& smallest, double pixel_std,
                  const at::Tensor& right, int64_t count, AttackRecord& record) {
  record.shown = choose_shown(smallest.upper, right, count);
  record.images = split.images.index_select(0, record.shown);
  record.changes = (pixel_std * smallest.steps.index_select(0, record.shown))
                       .reshape(record.images.sizes())
                       .to(at::kFloat);
}

void add_masks(ImageClassifier& model, const ImageDataset& images, const ImageSplit& split,
               const ClassForms& forms, const MaskConfig& config, AttackRecord& record) {
  const auto& c = model->config;
  const auto pixels = images.train.images.flatten(1).mean(0, false, at::kDouble) / 255.0;
  const auto masks = dual_masks(forms, (pixels - c.pixel_mean) / c.pixel_std, config.eigenvectors);
  if (masks.each == 0) return;
  ImageDataset part = images;
  part.test = split;
  record.masks = measure_masks(model, part, masks, config);
  record.mask_pictures = masks.directions.unflatten(0, {-1, masks.each})
                             .select(1, 0)
                             .reshape({forms.classes(), images.height, images.width})
                             .to(at::kFloat);
}

}  // namespace

AttackRecord attack_classifier(ImageClassifier& model, const ImageDataset& images, const std::string& dataset,
                               const AttackConfig& config) {
  const at::NoGradGuard no_grad;
  const auto& c = model->config;
  const ClassForms forms(model);
  if (forms.classes() < 2)
    throw Error(ExitCode::kBadInput, {"model", "a classifier of at least two classes", "one", ""});
  const auto split = first_images(images.test, config.images);
  const auto inputs = to_inputs(split.images, c.pixel_mean, c.pixel_std, at::kCPU, at::kDouble);
  const auto smallest = smallest_perturbations(model, forms, inputs);
  const auto right = smallest.prediction.eq(split.labels);
  AttackRecord record;
  record.data = {dataset, "test", split.size()};
  record.evaluation = evaluate_classifier(model, split);
  record.labels = split.labels;
  record.prediction = smallest.prediction;
  record.other = smallest.other;
  record.lower = c.pixel_std * smallest.lower;
  record.upper = c.pixel_std * smallest.upper;
  record.smallest = summarize_bounds(record.lower, record.upper, right);
  const PixelRange range{(0 - c.pixel_mean) / c.pixel_std, (1 - c.pixel_mean) / c.pixel_std};
  record.beyond_range = median_of(beyond_share(inputs, smallest.steps, range)
                                      .masked_select(right.logical_and(smallest.upper.isfinite())));
  record.curve = robust_accuracy(curve_lengths(record.lower), record.lower, record.upper, right);
  if (config.gradient_steps > 0) {
    record.gradient_length =
        c.pixel_std * gradient_attack(model, inputs, smallest.prediction, config.gradient_steps);
    record.gradient = summarize_attack(record, right, config.gradient_steps);
  }
  if (const int64_t few = std::min(config.bounded_images, split.size()); few > 0) {
    const auto bounded = bounded_perturbations(model, forms, inputs.narrow(0, 0, few), range, smallest);
    const auto right_few = right.narrow(0, 0, few);
    record.bounded_lower = c.pixel_std * bounded.lower;
    record.bounded_upper = c.pixel_std * bounded.upper;
    record.bounded = summarize_bounds(record.bounded_lower, record.bounded_upper, right_few);
    record.bounded_curve = robust_accuracy(curve_lengths(record.bounded_lower), record.bounded_lower,
                                           record.bounded_upper, right_few);
  }
  add_pictures(split, smallest, c.pixel_std, right, config.shown, record);
  if (config.masks.eigenvectors > 0) add_masks(model, images, split, forms, config.masks, record);
  return record;
}

}  // namespace bilens
