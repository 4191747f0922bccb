#include "bilens/analysis/eigen/lanczos.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <tuple>
#include <vector>

#include "bilens/core/stop.h"
#include "bilens/tensor/device.h"
#include "bilens/tensor/random.h"
#include "dense_eigen.h"

namespace bilens {

namespace {

constexpr double kGuardTolerance = 1e-2;  // a guard's value is then known to some 1e-4 of |θ₁|
constexpr int64_t kFewColumns = 4;        // between two checks, at least
constexpr double kTwice = 0.5;            // "twice is enough": a second pass where the first took most away

class Lockstep {
 public:
  Lockstep(const SymmetricOperators& q, int64_t n, const at::Tensor& start, const at::Tensor& locked,
           const LanczosConfig& config)
      : q_(q),
        config_(config),
        locked_(locked.defined() ? locked.size(1) : 0),
        r_(start.size(-1)),
        eps_(machine_epsilon(start.scalar_type())),
        direction_(n),
        pace_(n),
        size_(n, 0.0) {
    m_ = std::min(config.wanted + config.guards, r_ - locked_);
    held_ = std::min(std::max(config.basis, m_ + 2), r_ - locked_);
    for (auto& pace : pace_) pace.next_check = config.tolerance > 0 ? m_ + 8 : config.columns;
    std::iota(direction_.begin(), direction_.end(), int64_t{0});
    basis_ = at::empty({n, locked_ + held_ + 1, r_}, start.options());
    projected_ = at::zeros({n, held_, held_}, at::kDouble);
    if (locked.defined()) basis_.narrow(1, 0, locked_).copy_(locked);
    basis_.select(1, locked_).copy_(start.expand({n, r_}));
    result_.values = at::zeros({n, m_}, at::kDouble);
    result_.vectors = at::zeros({n, m_, r_}, start.options());
    result_.columns = at::zeros({n}, at::kInt);
    result_.converged = at::zeros({n}, at::kByte);
    which_ = at::tensor(direction_, at::kLong).to(start.device());
    normalize_start();
  }

  RitzPairs run() {
    if (m_ == 0) return finish_empty();
    for (int64_t columns = 1; active() > 0; ++columns) {
      if (stop_requested()) throw Stopped{};
      step();
      const bool full = filled_ == held_, last = full && held_ == r_ - locked_;
      const bool out_of_columns = columns >= config_.columns && filled_ >= m_;
      std::vector<int64_t> due;
      for (int64_t slot = 0; slot < active(); ++slot) {
        if (full || out_of_columns || filled_ >= pace_[slot].next_check) due.push_back(slot);
      }
      if (!due.empty()) check(due, columns, last, last || out_of_columns);
      if (full && active() > 0) restart();
    }
    return result_;
  }

 private:
  int64_t active() const { return static_cast<int64_t>(direction_.size()); }
  at::Tensor vectors(int64_t count) const {
    return basis_.narrow(0, 0, active()).narrow(1, 0, locked_ + count);
  }
  at::Tensor vector(int64_t index) const { return basis_.narrow(0, 0, active()).select(1, locked_ + index); }

  RitzPairs finish_empty() {
    result_.converged.fill_(1);
    return result_;
  }

  /// w ← w − BᵀBw for the first `count` vectors and the locked ones. @return Bw [a, locked + count]
  at::Tensor orthogonalize(at::Tensor& w, int64_t count) const {
    const auto b = vectors(count);
    const auto inner = at::bmm(w.unsqueeze(1), b.mT());  // seven times as fast as b·w, in the library used
    w = at::baddbmm(w.unsqueeze(1), inner, b, 1, -1).squeeze(1);
    return inner.squeeze(1);
  }

  /// A unit vector orthogonal to all there is, in the rows `slots`, for Krylov spaces that are exhausted.
  void put_random(const std::vector<int64_t>& slots, int64_t index) {
    const auto generator = make_generator(at::kCPU, derive_seed(0, "lanczos restart", index));
    const auto noise = at::randn({r_}, generator, at::dtype(at::kDouble)).to(basis_.options());
    for (const int64_t slot : slots) {
      const auto b = basis_[slot].narrow(0, 0, locked_ + index);
      auto w = noise;
      for (int pass = 0; pass < 3; ++pass) w = w - b.t().mv(b.mv(w));
      basis_[slot][locked_ + index].copy_(w / w.norm());
    }
  }

  void normalize_start() {
    auto w = vector(0).clone();
    for (int pass = 0; pass < 2 && locked_ > 0; ++pass) orthogonalize(w, 0);
    vector(0).copy_(w / w.norm(2, {1}, true));
  }

  /// One product for all active operators, one new vector each.
  void step() {
    const int64_t j = filled_, a = active();
    const auto x = vector(j).contiguous();
    auto w = q_(x, which_);
    auto alpha = (x * w).sum(1, true);
    w = w - alpha * x;
    if (j > restarted_) w = w - beta_ * vector(j - 1);
    const auto before = w.norm(2, {1}, true);
    alpha = alpha + orthogonalize(w, j + 1).narrow(1, locked_ + j, 1);
    beta_ = w.norm(2, {1}, true);
    if (j == restarted_ || beta_.lt(before * kTwice).any().item<bool>()) {
      orthogonalize(w, j + 1);
      beta_ = w.norm(2, {1}, true);
    }
    filled_ = j + 1;
    const auto host = at::cat({alpha, beta_}, 1).to(at::kCPU, at::kDouble);
    const auto ab = host.accessor<double, 2>();
    auto t = projected_.accessor<double, 3>();
    std::vector<int64_t> exhausted;
    for (int64_t slot = 0; slot < a; ++slot) {
      size_[slot] = std::max(size_[slot], std::abs(ab[slot][0]) + ab[slot][1]);
      t[slot][j][j] = ab[slot][0];
      if (ab[slot][1] <= 20 * eps_ * size_[slot]) exhausted.push_back(slot);
      if (filled_ < held_) t[slot][j][filled_] = t[slot][filled_][j] = ab[slot][1];
    }
    if (filled_ == r_ - locked_) return;  // the whole space
    vector(filled_).copy_(w / beta_);
    for (const int64_t slot : exhausted) {
      beta_[slot] = 0;
      if (filled_ < held_) t[slot][j][filled_] = t[slot][filled_][j] = 0;
    }
    if (!exhausted.empty()) put_random(exhausted, filled_);
  }

  /// When an operator is looked at again. A check is an eigenproblem of its own, worth several columns of a
  /// small layer; once the estimates fall they fall geometrically, so the next one waits until it is likely
  /// to succeed. It depends on nothing but the operator, so that results do not depend on the batch.
  struct Pace {
    int64_t next_check = 0;
    int64_t last_check = 0;  // 0: none since the restart
    double excess = 0;       // then, log of the worst estimate over its tolerance

    void set(int64_t filled, double now) {
      const auto least = static_cast<double>(std::max(kFewColumns, filled / 8));
      const double slope = last_check > 0 ? (now - excess) / static_cast<double>(filled - last_check) : 0.0;
      const auto most = static_cast<double>(std::max(kFewColumns, filled / 2));
      const double wait = slope < 0 && std::isfinite(now)
                              ? std::clamp(std::ceil(-now / slope), least, most)
                              : static_cast<double>(std::max(kFewColumns, filled / 4));
      const int64_t step = filled < 32 ? 4 : 8;  // operators of one kind then come together, one a thread
      next_check = (filled + static_cast<int64_t>(wait) + step - 1) / step * step;
      last_check = filled;
      excess = now;
    }
  };

  /// Ritz pairs of the slots `due`, ascending; those that are done leave.
  void check(const std::vector<int64_t>& due, int64_t columns, bool complete, bool give_up) {
    const int64_t j = filled_;
    const auto rows = at::tensor(due, at::kLong);
    const auto t = projected_.narrow(0, 0, active()).narrow(1, 0, j).narrow(2, 0, j).index_select(0, rows);
    std::tie(values_, coefficients_) = batched_eigh(t);
    order_ = values_.abs().argsort(/*stable=*/true, /*dim=*/1, /*descending=*/true);
    const auto beta = beta_.to(at::kCPU, at::kDouble).index_select(0, rows);
    const auto estimates = at::abs(coefficients_.select(1, j - 1) * beta).gather(1, order_);
    const auto largest = values_.abs().amax(1);
    const auto e = estimates.accessor<double, 2>();
    const auto* scale = largest.const_data_ptr<double>();
    std::vector<int64_t> done, done_rows;
    for (int64_t row = 0; row < static_cast<int64_t>(due.size()); ++row) {
      const int64_t slot = due[row];
      double excess = -std::numeric_limits<double>::infinity();
      for (int64_t i = 0; i < m_; ++i) {
        const double allowed = (i < config_.wanted ? config_.tolerance : kGuardTolerance) * scale[row];
        excess = std::max(excess, std::log(e[row][i] / allowed));
      }
      const bool good = complete || (config_.tolerance > 0 && !(excess > 0));
      if (good) result_.converged[direction_[slot]] = 1;
      if (good || give_up) {
        done.push_back(slot);
        done_rows.push_back(row);
      } else {
        pace_[slot].set(j, excess);
      }
    }
    at::parallel_for(0, static_cast<int64_t>(done.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) extract(done[i], done_rows[i], columns);
    });
    remove(done);
  }

  /// The k+g leading Ritz pairs of one operator, in a row of the last check.
  void extract(int64_t slot, int64_t row, int64_t columns) {
    const int64_t i = direction_[slot];
    const auto chosen = order_[row].narrow(0, 0, m_);
    result_.values[i].copy_(values_[row].index_select(0, chosen));
    const auto mix = coefficients_[row].index_select(1, chosen).t().to(basis_.options());  // [m, j]
    result_.vectors[i].copy_(mix.mm(basis_[slot].narrow(0, locked_, filled_)));
    result_.columns[i] = columns;
  }

  /// Takes slots out by moving the last ones into their places. When all were checked, their Ritz pairs move
  /// along.
  void remove(const std::vector<int64_t>& slots) {
    for (auto slot = slots.rbegin(); slot != slots.rend(); ++slot) {
      const int64_t last = active() - 1;
      if (*slot != last) {
        for (auto* tensor : {&projected_, &beta_}) (*tensor)[*slot].copy_((*tensor)[last]);
        if (filled_ == held_) {
          for (auto* tensor : {&values_, &coefficients_, &order_}) (*tensor)[*slot].copy_((*tensor)[last]);
        }
        basis_[*slot]
            .narrow(0, 0, locked_ + filled_ + 1)
            .copy_(basis_[last].narrow(0, 0, locked_ + filled_ + 1));
        direction_[*slot] = direction_[last];
        size_[*slot] = size_[last];
        pace_[*slot] = pace_[last];
      }
      direction_.pop_back();
      size_.pop_back();
      pace_.pop_back();
    }
    beta_ = beta_.narrow(0, 0, active());
    if (!slots.empty()) which_ = at::tensor(direction_, at::kLong).to(basis_.device());
  }

  /// Keeps the leading Ritz vectors and the last residual: T becomes diagonal with an arrow.
  void restart() {
    const int64_t a = active(), j = filled_, keep = std::min(m_ + (j - m_) / 2, j - 1);
    const auto chosen = order_.narrow(0, 0, a).narrow(1, 0, keep);
    const auto mix = coefficients_.narrow(0, 0, a)
                         .gather(2, chosen.unsqueeze(1).expand({a, j, keep}))
                         .contiguous();  // [a, j, keep]
    const auto kept = values_.narrow(0, 0, a).gather(1, chosen);
    const auto arrow = mix.select(1, j - 1) * beta_.to(at::kCPU, at::kDouble);
    const auto small = mix.to(basis_.options());
    for (int64_t slot = 0; slot < a; ++slot) {
      const auto own = basis_[slot].narrow(0, locked_, j + 1);
      own.narrow(0, 0, keep).copy_(small[slot].t().mm(own.narrow(0, 0, j)));
      own[keep].copy_(own[j]);
    }
    auto t = projected_.narrow(0, 0, a);
    t.zero_();
    t.diagonal(0, 1, 2).narrow(1, 0, keep).copy_(kept);
    t.narrow(1, 0, keep).select(2, keep).copy_(arrow);
    t.select(1, keep).narrow(1, 0, keep).copy_(arrow);
    filled_ = restarted_ = keep;
    for (auto& pace : pace_) pace = {keep + kFewColumns, 0, 0.0};
  }

  const SymmetricOperators& q_;
  const LanczosConfig& config_;
  const int64_t locked_, r_;
  const double eps_;
  int64_t m_ = 0, held_ = 0;
  int64_t filled_ = 0;              // vectors whose image is known; basis_ holds one more
  int64_t restarted_ = 0;           // Ritz vectors that the last restart kept
  std::vector<int64_t> direction_;  // of each slot
  at::Tensor which_;                // the same, on the device
  std::vector<Pace> pace_;          // the same
  std::vector<double> size_;        // of each slot: the largest |α| + β seen, a lower estimate of ‖Q‖
  at::Tensor basis_;                // [n, locked + held + 1, r]
  at::Tensor projected_;            // T [n, held, held] float64, CPU
  at::Tensor beta_;                 // [a, 1]
  at::Tensor values_, coefficients_, order_;  // of T, at the last check, a row for each slot that was due
  RitzPairs result_;
};

}  // namespace

RitzPairs lanczos(const SymmetricOperators& q, int64_t n, const at::Tensor& start, const at::Tensor& locked,
                  const LanczosConfig& config) {
  return Lockstep(q, n, start, locked, config).run();
}

}  // namespace bilens
