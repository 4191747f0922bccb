#include "bilens/analysis/forms/input_moments.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bilens/core/error.h"
#include "bilens/core/text.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace {
constexpr double kLeastVariance = 1e-10;  // of the largest: a standard deviation of 1e-5 of the largest
constexpr double kRoundings = 64;         // of inputs, in a row
}  // namespace

void MomentSums::add(const at::Tensor& x) {
  if (count_ == 0) {
    origin_ = x.mean(0);
    sum_ = at::zeros_like(origin_);
    squares_ = at::zeros({x.size(1), x.size(1)}, x.options());
  }
  const auto centred = x - origin_;
  count_ += x.size(0);
  sum_ += centred.sum(0);
  squares_ += centred.t().mm(centred);
}

InputMoments MomentSums::finish() const {
  const auto n = static_cast<double>(count_);
  const auto shift = sum_ / n;
  const auto covariance = squares_ / n - at::outer(shift, shift);
  return {count_, (origin_ + shift).cpu(), ((covariance + covariance.t()) / 2).cpu()};
}

CovarianceRoot reveal_rank(const InputMoments& moments, double epsilon) {
  require_finite(moments.covariance, "covariance of the inputs");
  const auto [values, vectors] = at::linalg_eigh(moments.covariance);  // ascending
  const int64_t d = values.size(0);
  const double largest = values[d - 1].item<double>(), trace = values.clamp_min(0).sum().item<double>();
  const double size = (trace + moments.mean.square().sum().item<double>()) / static_cast<double>(d);
  const double rounding = kRoundings * epsilon * kRoundings * epsilon * size;
  const double least = std::max(kLeastVariance * largest, rounding);
  if (!(largest > rounding)) {
    throw Error(
        ExitCode::kBadInput,
        {"inputs", "inputs that vary by more than rounding, so that they can weight a spectrum",
         format("a largest variance of %.3g in %lld inputs", largest, static_cast<long long>(moments.count)),
         "Give other data, or leave weighting out."});
  }
  const auto kept = values.gt(least).nonzero().squeeze(1).flip(0);
  const auto deviations = values.index_select(0, kept).sqrt(), axes = vectors.index_select(1, kept);
  const auto cut = values.masked_select(values.le(least)).clamp_min(0).sum().item<double>();
  return {axes * deviations, axes / deviations, cut / trace};
}

}  // namespace bilens
