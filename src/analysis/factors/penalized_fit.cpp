#include "penalized_fit.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "bilens/core/host.h"
#include "bilens/core/stop.h"

namespace bilens {

namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
constexpr double kOptimal = 1e-14;    // of the largest |k_r|: what is left of an optimality condition
constexpr double kDependent = 1e-14;  // of Γ_rr: what rounding leaves of a pivot that is zero

/// LLᵀ of the rows and columns of Γ that belong to a set, which grows at its end.
class GrowingCholesky {
 public:
  GrowingCholesky(const double* gram, int64_t order) : gram_(gram), order_(order) {}

  const std::vector<int64_t>& set() const { return set_; }
  int64_t size() const { return static_cast<int64_t>(set_.size()); }

  /// L⁻¹ of Γ's entries between the set and r, [size].
  std::vector<double> image(int64_t r) const {
    std::vector<double> x(set_.size());
    for (size_t i = 0; i < set_.size(); ++i) x[i] = gram_[set_[i] * order_ + r];
    solve_lower(x);
    return x;
  }

  /// Takes r in. @return false, with r left out, where it depends on the set
  bool append(int64_t r) {
    auto row = image(r);
    double pivot = gram_[r * order_ + r];
    const double least = kDependent * pivot;
    for (const double x : row) pivot -= x * x;
    if (!(pivot > least)) return false;
    row.push_back(std::sqrt(pivot));
    rows_.push_back(std::move(row));
    set_.push_back(r);
    return true;
  }

  void remove(int64_t place) {
    const std::vector<int64_t> behind(set_.begin() + place + 1, set_.end());
    set_.resize(place);
    rows_.resize(place);
    for (const int64_t r : behind) append(r);
  }

  void solve_lower(std::vector<double>& x) const {
    for (size_t i = 0; i < x.size(); ++i) {
      for (size_t j = 0; j < i; ++j) x[i] -= rows_[i][j] * x[j];
      x[i] /= rows_[i][i];
    }
  }

  void solve_upper(std::vector<double>& x) const {
    for (size_t i = x.size(); i-- > 0;) {
      for (size_t j = i + 1; j < x.size(); ++j) x[i] -= rows_[j][i] * x[j];
      x[i] /= rows_[i][i];
    }
  }

 private:
  const double* gram_;
  int64_t order_;
  std::vector<int64_t> set_;
  std::vector<std::vector<double>> rows_;  // of L
};

/// One row of K.
class ActiveSet {
 public:
  ActiveSet(const double* gram, const double* products, int64_t order, double mu, bool nonnegative)
      : gram_(gram),
        products_(products),
        order_(order),
        mu_(mu),
        nonnegative_(nonnegative),
        free_(gram, order),
        a_(order, 0.0),
        sign_(order, 0.0),
        slope_(products, products + order) {}

  const std::vector<double>& solve() {
    double largest = 0;
    for (int64_t r = 0; r < order_; ++r) largest = std::max(largest, std::abs(products_[r]));
    std::vector<bool> barred(order_, false);
    for (int64_t step = 0; step < 50 * order_ + 100; ++step) {
      const int64_t r = steepest(barred, kOptimal * largest);
      if (r < 0) break;
      sign_[r] = slope_[r] > 0 ? 1.0 : -1.0;
      if (release(r)) {
        std::fill(barred.begin(), barred.end(), false);
      } else {
        barred[r] = true;  // rounding alone made it look like a descent
        sign_[r] = 0;
      }
      update_slope();
    }
    return a_;
  }

  /// The largest violation of the optimality conditions.
  double violation() const {
    double worst = 0;
    for (int64_t r = 0; r < order_; ++r) {
      const double off = a_[r] != 0 ? std::abs(slope_[r] - mu_ * (a_[r] > 0 ? 1 : -1)) : excess(r);
      worst = std::max(worst, off);
    }
    return worst;
  }

 private:
  double excess(int64_t r) const { return (nonnegative_ ? slope_[r] : std::abs(slope_[r])) - mu_; }

  /// The weight at zero that would lower the objective fastest; −1 where none would by more than rounding.
  int64_t steepest(const std::vector<bool>& barred, double least) const {
    int64_t best = -1;
    for (int64_t r = 0; r < order_; ++r) {
      if (sign_[r] != 0 || barred[r] || !(excess(r) > std::max(least, rounding_[r]))) continue;
      if (best < 0 || excess(r) > excess(best)) best = r;
    }
    return best;
  }

  /// Frees r and goes to the minimum over the free weights. @return whether anything moved
  bool release(int64_t r) {
    bool moved = false;
    while (!free_.append(r)) {
      if (!slide(r)) return false;
      moved = true;
    }
    while (free_.size() > 0) {
      std::vector<double> target;
      for (const int64_t i : free_.set()) target.push_back(products_[i] - mu_ * sign_[i]);
      free_.solve_lower(target);
      free_.solve_upper(target);
      std::vector<double> change;
      for (int64_t place = 0; place < free_.size(); ++place)
        change.push_back(target[place] - a_[free_.set()[place]]);
      const double step = advance(change, 1);
      moved = moved || (step > 0 && sign_[r] != 0);
      if (step == 1) break;
    }
    return moved;
  }

  /// r depends on the free weights: with it in their place the fit stays what it is and the penalty falls,
  /// until one of them is zero. @return whether there was one
  bool slide(int64_t r) {
    auto change = free_.image(r);
    free_.solve_upper(change);
    for (double& x : change) x *= -sign_[r];
    const double step = advance(change, std::numeric_limits<double>::infinity());
    if (!std::isfinite(step)) return false;
    a_[r] += step * sign_[r];
    return true;
  }

  /// a ← a + t·change for the free weights with the largest t ≤ `most` that changes no sign; what is then
  /// zero is no longer free. @return t
  double advance(const std::vector<double>& change, double most) {
    double step = most;
    int64_t stops = -1;
    for (int64_t place = 0; place < free_.size(); ++place) {
      const int64_t i = free_.set()[place];
      if (sign_[i] * (a_[i] + most * change[place]) > 0 || sign_[i] * change[place] >= 0) continue;
      const double reach = -a_[i] / change[place];
      if (stops >= 0 && reach >= step) continue;
      step = std::max(reach, 0.0);
      stops = place;
    }
    if (stops < 0 && !std::isfinite(most)) return most;
    for (int64_t place = 0; place < free_.size(); ++place) a_[free_.set()[place]] += step * change[place];
    if (stops >= 0) {
      const int64_t i = free_.set()[stops];
      a_[i] = 0;
      sign_[i] = 0;
      free_.remove(stops);
      return std::min(step, std::nextafter(most, 0.0));
    }
    return step;
  }

  /// g = k − Γa, and what rounding leaves of it.
  void update_slope() {
    for (int64_t r = 0; r < order_; ++r) {
      double sum = products_[r], size = std::abs(products_[r]);
      for (int64_t i = 0; i < order_; ++i) {
        if (a_[i] == 0) continue;
        const double part = gram_[r * order_ + i] * a_[i];
        sum -= part;
        size += std::abs(part);
      }
      slope_[r] = sum;
      rounding_[r] = 4 * kEpsilon * size;
    }
  }

  const double* gram_;
  const double* products_;
  int64_t order_;
  double mu_;
  bool nonnegative_;
  GrowingCholesky free_;
  std::vector<double> a_, sign_, slope_;
  std::vector<double> rounding_ = std::vector<double>(order_, 0.0);
};

}  // namespace

PenalizedFit fit_penalized(const at::Tensor& gram, const at::Tensor& products, double mu, bool nonnegative) {
  const auto square = gram.to(at::kCPU, at::kDouble).contiguous();
  const auto rows = products.to(at::kCPU, at::kDouble).contiguous();
  const int64_t n = rows.size(0), order = rows.size(1);
  auto weights = at::zeros_like(rows);
  auto violations = at::zeros({n}, rows.options());
  const double* g = square.const_data_ptr<double>();
  const double* k = rows.const_data_ptr<double>();
  double* to = weights.mutable_data_ptr<double>();
  double* worst = violations.mutable_data_ptr<double>();
  Host* const host = current_host();
  at::parallel_for(0, n, 1, [&](int64_t begin, int64_t end) {
    const HostScope scope(host);
    for (int64_t i = begin; i < end && !stop_requested(); ++i) {
      ActiveSet set(g, k + i * order, order, mu, nonnegative);
      const auto& a = set.solve();
      std::copy(a.begin(), a.end(), to + i * order);
      worst[i] = std::max(set.violation(), 0.0);
    }
  });
  if (stop_requested()) throw Stopped{};
  const double largest = rows.abs().max().item<double>();
  return {weights.to(products.device()), largest > 0 ? violations.max().item<double>() / largest : 0.0};
}

}  // namespace bilens
