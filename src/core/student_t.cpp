#include "bilens/core/student_t.h"

#include <cmath>

namespace bilens {

namespace {

constexpr double kHalfPi = 1.5707963267948966;

/// P(|T| ≤ √ν tan θ) for ν degrees of freedom (Abramowitz and Stegun 26.7.3 and 26.7.4), c = cos θ:
///   ν even: sin θ (1 + c²/2 + c⁴ 1·3/(2·4) + ... + c^(ν−2) ...)
///   ν odd: (2/π)(θ + sin θ (c + c³ 2/3 + c⁵ 2·4/(3·5) + ... + c^(ν−2) ...))
double central_probability(double theta, int64_t freedom) {
  const double c = std::cos(theta);
  const bool odd = freedom % 2 == 1;
  double term = odd ? c : 1.0, sum = 0.0;
  for (int64_t power = odd ? 1 : 0; power <= freedom - 2; power += 2) {
    sum += term;
    term *= c * c * static_cast<double>(power + 1) / static_cast<double>(power + 2);
  }
  sum *= std::sin(theta);
  return odd ? (theta + sum) / kHalfPi : sum;
}

}  // namespace

double student_t_bound(double coverage, int64_t freedom) {
  const auto v = static_cast<double>(freedom);
  // The probability is concave in θ, its slope 2Γ((ν+1)/2)/(√π Γ(ν/2)) cos^(ν−1) θ: Newton's steps from 0
  // come near from below, until rounding ends them.
  const double slope = std::exp(std::lgamma(0.5 * (v + 1)) - std::lgamma(0.5 * v)) / std::sqrt(0.5 * kHalfPi);
  double theta = 0.0;
  while (true) {
    const double left = coverage - central_probability(theta, freedom);
    const double next = theta + left / (slope * std::pow(std::cos(theta), v - 1));
    if (!(next > theta) || next >= kHalfPi) return std::sqrt(v) * std::tan(theta);
    theta = next;
  }
}

}  // namespace bilens
