#include "bilens/study/weighted_fit.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "bilens/tensor/r_squared.h"
#include "layer_forms.h"

namespace bilens {

namespace {

/// Over what is a number; nothing where nothing is.
std::optional<double> mean_r2(const at::Tensor& r2) {
  const double mean = r2.nanmean().item<double>();
  return std::isnan(mean) ? std::nullopt : std::optional(mean);
}

}  // namespace

WeightedFit::WeightedFit(const WeightedFactors& found, at::Device device)
    : mean_(found.mean.to(device)),
      readings_(found.readings.to(device)),
      values_(found.values.to(device)),
      slope_(found.slope.to(device)),
      centre_(found.centre.to(device)) {
  const auto n = values_.size(0), k = values_.size(1);
  sum_ = at::zeros({n}, values_.options());
  squares_ = at::zeros_like(sum_), size_ = at::zeros_like(sum_);
  errors_ = at::zeros({n, k + 1}, values_.options());
}

void WeightedFit::add(const at::Tensor& x, const at::Tensor& targets, const at::Tensor& size) {
  const int64_t at_once = std::max<int64_t>(1, kPartBytes / (8 * errors_.numel()));
  for (int64_t first = 0; first < x.size(0); first += at_once) {
    const int64_t count = std::min(at_once, x.size(0) - first);
    add_part(x.narrow(0, first, count), targets.narrow(0, first, count));
  }
  size_ += size;
  count_ += x.size(0);
}

void WeightedFit::add_part(const at::Tensor& x, const at::Tensor& targets) {
  const auto varying = x - mean_;
  const auto read = varying.mm(readings_.flatten(0, 1).to(at::kDouble).t()).unflatten(1, values_.sizes());
  const auto terms = (read.square() - 1) * values_;  // [rows, n, k]
  const auto left = targets - centre_ - varying.mm(slope_.t());
  errors_.select(1, 0) += left.square().sum(0);
  errors_.slice(1, 1) += (left.unsqueeze(2) - terms.cumsum(2)).square().sum(0);
  const auto shifted = targets - centre_;  // so that squares do not cancel
  sum_ += shifted.sum(0);
  squares_ += shifted.square().sum(0);
}

void WeightedFit::finish(WeightedFactors& found, at::ScalarType dtype) const {
  const auto n = static_cast<double>(count_);
  const auto spread = squares_ - sum_.square() / n;
  found.variance = (spread / n).cpu();
  found.r2 = r_squared(errors_, spread.unsqueeze(1), size_.unsqueeze(1), dtype).cpu();
  found.mean_linear_r2 = mean_r2(found.r2.select(1, 0));
  found.mean_r2 = mean_r2(found.r2.select(1, found.r2.size(1) - 1));
}

}  // namespace bilens
