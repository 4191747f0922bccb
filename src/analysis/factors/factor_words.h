#pragma once

#include <string>

#include "bilens/analysis/eigen/projection_energy.h"
#include "bilens/analysis/factors/method.h"

namespace bilens {

// What the methods share when they put what they found into a record and into words.

/// "12.3%"
std::string in_percent(double share);

/// Over what is a number.
double mean_of_numbers(const at::Tensor& tensor);

/// "no change (nothing above 1.0e-07)"
std::string nothing_above(double floor);

/// Takes shares of energy where they were asked for.
template <class F>
void take_energy(F& factors, const ProjectionEnergy& energy) {
  if (energy.total.defined()) {
    factors.diagonal_energy = energy.diagonal;
    factors.full_energy = energy.full;
  }
  factors.off_diagonal = energy.off_diagonal;
}

/// Says of a method that looks at each direction by itself how many of n did not change.
template <class F>
void name_unchanged(F& found, std::string& words, int64_t unchanged, const at::Tensor& floor) {
  if (!floor.defined()) return;
  found.unchanged = unchanged;
  if (unchanged == 0) return;
  const int64_t n = floor.size(0);
  words = unchanged == n ? nothing_above(floor.max().template item<double>())
                         : words + "; " + kNoChange + " in " + std::to_string(unchanged) + " of " +
                               std::to_string(n) + " directions";
}

/// Says of one that looks at all directions at once whether anything changed.
inline void name_unchanged(TensorRounding& found, std::string& words, bool unchanged, double floor) {
  if (floor == 0 && !unchanged) return;
  found.unchanged = unchanged;
  found.floor = floor;
  if (unchanged) words = nothing_above(floor);
}

}  // namespace bilens
