#include "spectrum.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

namespace bilens {

std::vector<int64_t> order_of(const double* values, int64_t count, double tie) {
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return std::abs(values[a]) > std::abs(values[b]); });
  for (auto begin = order.begin(); begin != order.end();) {
    auto end = begin + 1;
    while (end != order.end() && std::abs(values[*begin]) - std::abs(values[*end]) <= tie) ++end;
    std::stable_partition(begin, end, [&](int64_t i) { return values[i] > 0; });
    begin = end;
  }
  return order;
}

double Spectrum::norm() const {
  double largest = 0;
  for (int64_t i = 0; i < known; ++i) largest = std::max(largest, std::abs(values[i]));
  return largest;
}

double Spectrum::effective_rank() const {
  if (!whole) return std::numeric_limits<double>::quiet_NaN();
  double sum = 0, squares = 0;
  const double unit = norm() > 0 ? norm() : 1.0;
  for (int64_t i = 0; i < known; ++i) {
    sum += std::abs(values[i]) / unit;
    squares += values[i] / unit * (values[i] / unit);
  }
  return squares > 0 ? sum * sum / squares : 0.0;
}

double Spectrum::gap(int64_t i) const {
  double gap = std::numeric_limits<double>::infinity(), smallest = gap;
  for (int64_t j = 0; j < known; ++j) {
    if (j != i) gap = std::min(gap, std::abs(values[i] - values[j]));
    smallest = std::min(smallest, std::abs(values[j]));
  }
  if (known == d) return gap;
  return std::min(gap, std::abs(values[i]) - (whole ? 0.0 : smallest));
}

bool Spectrum::tie_at(int64_t k, double tie) const {
  if (k >= d) return false;
  std::vector<double> sizes;
  for (int64_t i = 0; i < known; ++i) sizes.push_back(std::abs(values[i]));
  sizes.resize(std::max(known, k + 1), 0.0);  // what is not known here is 0
  std::sort(sizes.begin(), sizes.end(), std::greater<>());
  return sizes[k - 1] - sizes[k] <= tie;
}

}  // namespace bilens
