#include "bilens/analysis/forms/smallest_step.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bilens {

namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kMostIterations = 400;

/// φ(ν) and its slope −Σ 2b²/(1 + νλ)³.
struct Secular {
  double value, slope;
};

Secular secular(const StepQuadratic& q, double nu) {
  Secular sum{q.value, 0};
  for (int64_t i = 0; i < q.size; ++i) {
    const double b = q.slope[i], scale = 1 / (1 + nu * q.curvature[i]);
    const double moved = b * scale;
    sum.value -= nu * (2 + nu * q.curvature[i]) * moved * moved;
    sum.slope -= 2 * moved * moved * scale;
  }
  return sum;
}

/// Where 1 + νλ reaches 0 first; ∞ without negative λ.
double last_multiplier(const StepQuadratic& q) {
  return q.size > 0 && q.curvature[0] < 0 ? -1 / q.curvature[0] : kInfinity;
}

/// A multiplier above which φ is not positive, below `last`; nothing where there is none.
std::optional<double> upper_bracket(const StepQuadratic& q, double last) {
  double largest = 0;
  for (int64_t i = 0; i < q.size; ++i) largest = std::max(largest, std::abs(q.curvature[i]));
  if (last < kInfinity) {
    for (double gap = 0.5; gap > 4 * kEps; gap *= 0.25)
      if (secular(q, last * (1 - gap)).value <= 0) return last * (1 - gap);
    return std::nullopt;
  }
  double norm = 0;
  for (int64_t i = 0; i < q.size; ++i) norm += q.slope[i] * q.slope[i];
  if (norm == 0) return std::nullopt;
  double nu = q.value / (2 * norm);  // the root without curvature
  for (int i = 0; i < 200; ++i, nu *= 4)
    if (secular(q, nu).value <= 0) return nu;
  return std::nullopt;
}

/// The root of φ in [0, high], φ(high) ≤ 0.
double root_below(const StepQuadratic& q, double high) {
  double low = 0, nu = high;
  for (int i = 0; i < kMostIterations; ++i) {
    const auto at = secular(q, nu);
    (at.value > 0 ? low : high) = nu;
    double next = at.slope < 0 ? nu - at.value / at.slope : low;
    if (!(next > low && next < high)) next = 0.5 * (low + high);
    if (next == nu || high - low <= 2 * kEps * high) break;
    nu = next;
  }
  return nu;
}

/// A true form is at least the computed one less value_error + 2‖δ‖ slope_error + ‖δ‖² curvature_error. So
/// for every step δ where it is not positive, (1 + ν curvature_error)‖δ‖² ≥ dual − ν(value_error + 2‖δ‖
/// slope_error), and a step shorter than √dual has that in the place of ‖δ‖.
double proved_bound(const StepQuadratic& q, double nu) {
  double curved = 0;
  for (int64_t i = 0; i < q.size; ++i) curved += q.slope[i] * q.slope[i] / (1 + nu * q.curvature[i]);
  const double dual = nu * q.value - nu * nu * curved;
  if (!(dual > 0)) return 0;
  const double figures = nu * (q.value_error + 2 * std::sqrt(dual) * q.slope_error);
  const double arithmetic =
      kEps * static_cast<double>(q.size + 8) * (nu * q.value + nu * nu * std::abs(curved));
  return std::sqrt(std::max(0.0, (dual - figures - arithmetic) / (1 + nu * q.curvature_error)));
}

std::vector<double> step_at(const StepQuadratic& q, double nu, int64_t first) {
  std::vector<double> step(q.size, 0.0);
  for (int64_t i = first; i < q.size; ++i) step[i] = -nu * q.slope[i] / (1 + nu * q.curvature[i]);
  return step;
}

double value_at(const StepQuadratic& q, const std::vector<double>& step) {
  double value = q.value;
  for (int64_t i = 0; i < q.size; ++i) value += step[i] * (2 * q.slope[i] + q.curvature[i] * step[i]);
  return value;
}

/// The part along the eigenvector of λ_min < 0, which large multipliers tell least exactly, so that the form
/// is 0.
void settle_first(const StepQuadratic& q, std::vector<double>& step) {
  const double before = step[0];
  step[0] = 0;
  const double b = q.slope[0], root = b * b - q.curvature[0] * value_at(q, step);
  step[0] = before;
  if (q.curvature[0] >= 0 || root < 0) return;
  const double one = (-b + std::sqrt(root)) / q.curvature[0], two = (-b - std::sqrt(root)) / q.curvature[0];
  step[0] = std::abs(one - before) < std::abs(two - before) ? one : two;
}

/// φ is positive up to −1/λ_min: the step there, without the eigenvectors of λ_min, and along one of these as
/// far as it takes.
SmallestStep hard_case(const StepQuadratic& q, double last) {
  const double near = last * (1 - 16 * kEps);
  int64_t first = 0;
  while (first < q.size && 1 + near * q.curvature[first] < 1e3 * kEps) ++first;
  auto step = step_at(q, near, first);
  const double left = value_at(q, step);
  if (left > 0) step[0] = (q.slope[0] > 0 ? -1 : 1) * std::sqrt(left / -q.curvature[0]);
  return {proved_bound(q, last * (1 - 1e-8)), std::move(step)};
}

/// No λ is negative. A true one may be, by its error, and then a step that is long enough does get there: the
/// best bound of many multipliers.
SmallestStep unreachable(const StepQuadratic& q) {
  if (q.curvature_error <= 0) return {kInfinity, {}};
  double lower = 0;
  for (double nu = 1e8 / q.curvature_error, least = nu * 1e-32; nu > least; nu /= 2)
    lower = std::max(lower, proved_bound(q, nu));
  return {lower, {}};
}

}  // namespace

SmallestStep smallest_step(const StepQuadratic& q) {
  if (q.value <= 0) return {0, std::vector<double>(q.size, 0.0)};
  const double last = last_multiplier(q);
  const auto high = upper_bracket(q, last);
  if (!high) return last < kInfinity ? hard_case(q, last) : unreachable(q);
  const double nu = root_below(q, *high);
  auto step = step_at(q, nu, 0);
  settle_first(q, step);
  return {proved_bound(q, nu), std::move(step)};
}

}  // namespace bilens
