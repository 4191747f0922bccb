#pragma once

#include <cstdint>
#include <vector>

namespace bilens {

/// Eigenvalues closer than this many eps‖Q‖ are not told apart.
constexpr double kTieFactor = 50.0;

/// Order of eigenvalues: falling |λ|; of those that are not told apart from the largest |λ| among them,
/// positive ones come first.
std::vector<int64_t> order_of(const double* values, int64_t count, double tie);

/// What is known of one direction's eigenvalues, and what that says about the first k of them.
struct Spectrum {
  const double* values;  // in any order
  int64_t known, d;
  bool whole;  // the other d − known are 0; else they are at most the smallest known |λ|

  double norm() const;

  /// (Σ|λ|)²/Σλ², the definition of the authors' code; 0 for Q = 0. NaN unless whole.
  double effective_rank() const;

  /// Distance of the i-th to the nearest other eigenvalue, unknown ones in their worst place.
  double gap(int64_t i) const;

  /// Whether the k-th and the next largest |λ| are not told apart.
  bool tie_at(int64_t k, double tie) const;
};

}  // namespace bilens
