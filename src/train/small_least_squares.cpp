#include "bilens/train/small_least_squares.h"

#include <ATen/ATen.h>

#include "bilens/tensor/shape.h"

namespace bilens {

namespace {

constexpr double kLeastMoment = 1e-10;    // of a direction that is determined
constexpr double kLeastVariance = 1e-12;  // of a feature, beside its square: less is rounding

at::Tensor squares_of(const at::Tensor& grams) { return grams.diagonal(0, 1, 2); }

/// Weighted means of the features, the constant and the target, [n, p + 2]; 0 where nothing has weight.
at::Tensor means_of(const at::Tensor& grams) {
  const int64_t p = grams.size(1) - 2;
  return grams.select(1, p) / grams.select(1, p).select(1, p).clamp_min(1e-300).unsqueeze(1);
}

/// Without the constant [n, p + 1, p + 1], from [n, p + 2, p + 2].
at::Tensor take_out_constant(const at::Tensor& grams, const at::Tensor& means) {
  const int64_t p = grams.size(1) - 2;
  const auto kept = at::cat({at::arange(p, at::kLong), at::full({1}, p + 1, at::kLong)});
  const auto pairs = grams.index_select(1, kept).index_select(2, kept), mean = means.index_select(1, kept);
  const auto weight = grams.select(1, p).select(1, p).view({-1, 1, 1});
  return pairs - weight * mean.unsqueeze(2) * mean.unsqueeze(1);
}

/// 1 over the size of each feature; 0 of one that does not vary. @param squares of features with their means
at::Tensor inverse_sizes(const at::Tensor& own, const at::Tensor& squares) {
  return at::where(own > kLeastVariance * squares, own.clamp_min(0).rsqrt(), at::zeros_like(own));
}

/// [n, p] of the least norm in scaled features.
at::Tensor solve_scaled(const at::Tensor& moments, const at::Tensor& targets, const at::Tensor& inverse) {
  const auto [values, vectors] = at::linalg_eigh(moments * inverse.unsqueeze(2) * inverse.unsqueeze(1));
  const auto turned = vectors.transpose(1, 2).matmul((targets * inverse).unsqueeze(2)).squeeze(2);
  const auto solved = at::where(values > kLeastMoment, turned / values, at::zeros_like(values));
  return inverse * vectors.matmul(solved.unsqueeze(2)).squeeze(2);
}

}  // namespace

SmallFits fit_grams(const at::Tensor& grams, bool has_constant, const std::string& where) {
  require_finite(grams, where);
  const int64_t p = grams.size(1) - (has_constant ? 2 : 1);
  const auto means = has_constant ? means_of(grams) : at::Tensor();
  const auto centred = has_constant ? take_out_constant(grams, means) : grams;
  const auto moments = centred.narrow(1, 0, p).narrow(2, 0, p),
             targets = centred.select(2, p).narrow(1, 0, p);
  const auto inverse = inverse_sizes(squares_of(moments), squares_of(grams).narrow(1, 0, p));
  const auto found = solve_scaled(moments, targets, inverse);
  const auto fitted = moments.matmul(found.unsqueeze(2)).squeeze(2);
  const auto error = centred.select(1, p).select(1, p) + (found * (fitted - 2 * targets)).sum(1);
  if (!has_constant) return {found, error.clamp_min(0)};
  const auto constant = means.select(1, p + 1) - (found * means.narrow(1, 0, p)).sum(1);
  return {at::cat({found, constant.unsqueeze(1)}, 1), error.clamp_min(0)};
}

}  // namespace bilens
