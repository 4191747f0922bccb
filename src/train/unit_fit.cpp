#include "bilens/train/unit_fit.h"

#include <ATen/ATen.h>

#include <limits>

#include "bilens/tensor/r_squared.h"
#include "bilens/train/small_least_squares.h"

namespace bilens {

namespace {

using Sums = UnitSums;

// Differences of sums of so many terms carry roundings of some eps; below this share they are nothing else.
constexpr double kNoVariance = 1e4 * std::numeric_limits<double>::epsilon();
constexpr double kLargestShift = 8.0;  // |β| beside the root mean square of z

/// Each unit's sums on the CPU, [h, 6, 6], and where its features stand: z = s z' + m, y = r y' + n.
struct ScaledSums {
  at::Tensor grams, m, n, s, r;

  explicit ScaledSums(const Sums& sums) : grams(sums.grams.cpu().permute({2, 0, 1}).contiguous()) {
    m = sums.centre[0].cpu(), n = sums.centre[1].cpu();
    s = sums.scale[0].cpu(), r = sums.scale[1].cpu();
  }

  at::Tensor zeros() const { return at::zeros_like(m); }
  at::Tensor sum(int64_t i, int64_t j) const { return grams.select(1, i).select(1, j); }

  /// Gram matrices of other features. @param rows of the coefficients of the six features, [h] each
  at::Tensor combined(const std::vector<std::vector<at::Tensor>>& rows) const {
    std::vector<at::Tensor> stacked;
    for (const auto& row : rows) stacked.push_back(at::stack(row, 1));
    const auto combination = at::stack(stacked, 1);
    return combination.matmul(grams).matmul(combination.transpose(1, 2));
  }

  /// A feature by itself, as a row of combined().
  std::vector<at::Tensor> feature(int64_t i) const {
    std::vector<at::Tensor> row(Sums::kFeatures, zeros());
    row[static_cast<size_t>(i)] = at::ones_like(m);
    return row;
  }
  /// (z − shift)y and z², of unscaled z and y, and y.
  std::vector<at::Tensor> product(const at::Tensor& shift) const {
    return {s * r, (m - shift) * r, zeros(), n * s, (m - shift) * n, zeros()};
  }
  std::vector<at::Tensor> square() const { return {zeros(), zeros(), s * s, 2 * m * s, m * m, zeros()}; }
  std::vector<at::Tensor> up() const { return {zeros(), r, zeros(), zeros(), n, zeros()}; }

  at::Tensor mean_square_of_z() const {
    const auto sum_of_squares = s * s * sum(Sums::kSquare, Sums::kOne) +
                                2 * m * s * sum(Sums::kGate, Sums::kOne) +
                                m * m * sum(Sums::kOne, Sums::kOne);
    return sum_of_squares / sum(Sums::kOne, Sums::kOne);
  }
  at::Tensor variance_of_z() const {
    const auto mean = sum(Sums::kGate, Sums::kOne) / sum(Sums::kOne, Sums::kOne);
    return s * s * (sum(Sums::kGate, Sums::kGate) / sum(Sums::kOne, Sums::kOne) - mean.square());
  }
};

/// q = azy + by + cz² + dz + e, [h] each, and Σ w(t − q)².
struct Quadratic {
  at::Tensor a, b, c, d, e, error;
};

Quadratic choose(const at::Tensor& first, const Quadratic& one, const Quadratic& two) {
  const auto pick = [&](const at::Tensor& x, const at::Tensor& y) { return at::where(first, x, y); };
  return {pick(one.a, two.a), pick(one.b, two.b), pick(one.c, two.c),
          pick(one.d, two.d), pick(one.e, two.e), pick(one.error, two.error)};
}

/// Turns q in z' and y' into q in z and y.
Quadratic unscaled(const Quadratic& q, const ScaledSums& sums) {
  const auto &m = sums.m, &n = sums.n, &s = sums.s, &r = sums.r;
  const auto a = q.a / (s * r), c = q.c / (s * s);
  return {a,
          q.b / r - a * m,
          c,
          q.d / s - a * n - 2 * c * m,
          q.e + a * m * n - q.b * n / r + c * m * m - q.d * m / s,
          q.error};
}

Quadratic fit_five_terms(const ScaledSums& sums, const std::string& where) {
  const auto found = fit_grams(sums.grams, true, where);
  const auto k = found.coefficients.unbind(1);
  return unscaled({k[0], k[1], k[2], k[3], k[4], found.error}, sums);
}

/// The best one with b = βa: of (z + β)y, z², z and 1.
Quadratic fit_at_shift(const ScaledSums& sums, const at::Tensor& shift, const std::string& where) {
  const auto ratio = (sums.m + shift) / sums.s;
  auto row = sums.feature(Sums::kProduct);
  row[Sums::kUp] = ratio;
  const auto found = fit_grams(sums.combined({row, sums.feature(Sums::kSquare), sums.feature(Sums::kGate),
                                              sums.feature(Sums::kOne), sums.feature(Sums::kTarget)}),
                               true, where);
  const auto k = found.coefficients.unbind(1);
  return unscaled({k[0], k[0] * ratio, k[1], k[2], k[3], found.error}, sums);
}

/// The best q of zy and z² alone.
Quadratic fit_without_biases(const ScaledSums& sums, const std::string& where) {
  const auto found = fit_grams(
      sums.combined({sums.product(sums.zeros()), sums.square(), sums.feature(Sums::kTarget)}), false, where);
  const auto k = found.coefficients.unbind(1);
  return {k[0], sums.zeros(), k[1], sums.zeros(), sums.zeros(), found.error};
}

/// q as a unit with a shift of its gate, which is b / a but for rounding.
BilinearUnits as_units(const Quadratic& q, const at::Tensor& shift) {
  const auto up_shift = q.d - q.c * shift;
  return {shift, q.a, q.c, up_shift, q.e - shift * up_shift};
}

struct Fitted {
  BilinearUnits units;
  at::Tensor error;  // Σ w(t − t̂)² [h]
};

Fitted fit_products(const ScaledSums& sums, bool with_biases, const std::string& where) {
  const auto none = sums.zeros();
  auto q = with_biases ? fit_five_terms(sums, where) : fit_without_biases(sums, where);
  const auto most = kLargestShift * sums.mean_square_of_z().sqrt();
  const auto beyond = q.b.abs() > most * q.a.abs();
  auto shift = at::where(q.b == 0, none, q.b / q.a);
  if (beyond.any().item<bool>()) {
    const auto above = fit_at_shift(sums, most, where), below = fit_at_shift(sums, -most, where);
    const auto first = above.error <= below.error;
    q = choose(beyond, choose(first, above, below), q);
    shift = at::where(beyond, at::where(first, most, -most), shift);
  }
  return {as_units(q, shift), q.error};
}

/// Σ w(t − ½zy)² [h].
at::Tensor error_of_half(const ScaledSums& sums) {
  const auto grams = sums.combined({sums.product(sums.zeros()), sums.feature(Sums::kTarget)});
  const auto product = grams.select(1, 0), target = grams.select(1, 1);
  return (target.select(1, 1) - target.select(1, 0) + 0.25 * product.select(1, 0)).clamp_min(0);
}

/// ½zy in some units.
void put_half(const at::Tensor& there, const at::Tensor& error, Fitted& fitted) {
  auto& u = fitted.units;
  for (auto* numbers : {&u.gate_shift, &u.up_gate, &u.up_shift, &u.constant})
    *numbers = at::where(there, at::zeros_like(error), *numbers);
  u.up_scale = at::where(there, at::full_like(error, 0.5), u.up_scale);
  fitted.error = at::where(there, error, fitted.error);
}

struct Lines {
  at::Tensor slope, offset;
  at::Tensor error, spread;  // Σ wy²(f − az − b)² and Σ wy²(f − f̄)² [h]
};

/// Σ wy²(f − f̄)², 0 where y is.
at::Tensor spread_of_activations(const ScaledSums& sums) {
  const auto grams = sums.combined({sums.up(), sums.feature(Sums::kTarget)});
  const auto up = grams.select(1, 0), target = grams.select(1, 1);
  const auto yy = up.select(1, 0), ty = up.select(1, 1), tt = target.select(1, 1);
  return tt - at::where(yy > 0, ty * ty / yy, at::zeros_like(yy));
}

/// Fits t by zy, and by y where there is an offset. This fits f by z and 1, where y² weights an error.
Lines fit_lines(const ScaledSums& sums, bool with_offset, const std::string& where) {
  // (z − m)y has the same span with y as zy, and no digits are lost where z is far from 0.
  const auto centre = with_offset ? sums.m : sums.zeros();
  std::vector<std::vector<at::Tensor>> rows = {sums.product(centre)};
  if (with_offset) rows.push_back(sums.up());
  rows.push_back(sums.feature(Sums::kTarget));
  const auto found = fit_grams(sums.combined(rows), false, where);
  const auto slope = found.coefficients.select(1, 0);
  const auto offset = with_offset ? found.coefficients.select(1, 1) - slope * centre : sums.zeros();
  return {slope, offset, found.error, spread_of_activations(sums)};
}

/// Units whose products the data do not determine; NaN counts.
at::Tensor undetermined(const ScaledSums& sums, bool with_biases) {
  const auto product = sums.combined({sums.product(sums.zeros())}).view({-1});
  const auto determined = product > std::numeric_limits<double>::min();
  if (!with_biases) return determined.logical_not();
  const auto varies = sums.variance_of_z() > kNoVariance * sums.mean_square_of_z();
  return determined.logical_and(varies).logical_not();
}

}  // namespace

UnitFit fit_units(const UnitSums& of_units, bool with_biases, const std::string& where) {
  const ScaledSums sums(of_units);
  const auto lost = undetermined(sums, with_biases), half = error_of_half(sums);
  auto fitted = fit_products(sums, with_biases, where);
  put_half(lost, half, fitted);
  const auto lines = fit_lines(sums, with_biases, where);
  const auto tt = sums.sum(Sums::kTarget, Sums::kTarget), t = sums.sum(Sums::kTarget, Sums::kOne),
             w = sums.sum(Sums::kOne, Sums::kOne);
  const auto spread = tt - at::where(w > 0, t * t / w, at::zeros_like(w));
  const auto share = [&](const at::Tensor& error, const at::Tensor& whole) {
    return r_squared(error.sum(), whole.sum(), tt.sum(), at::kFloat).item<double>();
  };
  return {fitted.units,
          at::where(lost, at::full_like(half, 0.5), lines.slope),
          at::where(lost, at::zeros_like(half), lines.offset),
          lost.to(at::kByte),
          share(fitted.error, spread),
          share(at::where(lost, half, lines.error), lines.spread)};
}

}  // namespace bilens
