#include "bilens/analysis/eigen/lanczos.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <tuple>
#include <vector>

#include "bilens/core/stop.h"
#include "dense_eigen.h"
#include "krylov.h"
#include "lanczos_pace.h"

namespace bilens {

namespace {

constexpr double kGuardTolerance = 1e-2;  // a guard's value is then known to some 1e-4 of |θ₁|

/// The operators of one call, each in a slot of its own until its Ritz pairs have converged. Q(By) ≈ θ(By)
/// for Ty = θy, with residual |β_j y_j|.
class Lockstep {
 public:
  Lockstep(const SymmetricOperators& q, int64_t n, const at::Tensor& start, const at::Tensor& locked,
           const LanczosConfig& config)
      : q_(q), config_(config), device_(start.device()), direction_(n) {
    const int64_t r = start.size(-1), free = r - (locked.defined() ? locked.size(1) : 0);
    m_ = std::min(config.wanted + config.guards, free);
    whole_ = std::max(config.basis, m_ + 2) >= free;
    pace_.assign(n, LanczosPace(config.tolerance > 0 ? m_ + 8 : config.columns));
    std::iota(direction_.begin(), direction_.end(), int64_t{0});
    which_ = at::tensor(direction_, at::kLong).to(device_);
    result_.values = at::zeros({n, m_}, at::kDouble);
    result_.vectors = at::zeros({n, m_, r}, start.options());
    result_.columns = at::zeros({n}, at::kInt);
    result_.converged = at::zeros({n}, at::kByte);
    if (m_ > 0) spaces_.emplace(n, start, locked, std::min(std::max(config.basis, m_ + 2), free));
  }

  RitzPairs run() {
    if (m_ == 0) result_.converged.fill_(1);
    for (int64_t columns = 1; m_ > 0 && spaces_->slots() > 0; ++columns) {
      if (stop_requested()) throw Stopped{};
      spaces_->step(q_, which_);
      const bool full = spaces_->full(), last = full && whole_;
      const bool out_of_columns = columns >= config_.columns && spaces_->filled() >= m_;
      std::vector<int64_t> due;
      for (int64_t slot = 0; slot < spaces_->slots(); ++slot)
        if (full || out_of_columns || pace_[slot].is_due(spaces_->filled())) due.push_back(slot);
      if (!due.empty()) check(due, columns, last, last || out_of_columns);
      if (full && spaces_->slots() > 0) restart();
    }
    return result_;
  }

 private:
  /// Ritz pairs of the slots `due`, ascending; those that are done leave.
  void check(const std::vector<int64_t>& due, int64_t columns, bool complete, bool give_up) {
    const int64_t j = spaces_->filled();
    const auto rows = at::tensor(due, at::kLong);
    std::tie(values_, coefficients_) = batched_eigh(spaces_->projected().index_select(0, rows));  // θ, y
    order_ = values_.abs().argsort(/*stable=*/true, /*dim=*/1, /*descending=*/true);
    const auto beta = spaces_->last_beta().index_select(0, rows);
    const auto estimates = at::abs(coefficients_.select(1, j - 1) * beta).gather(1, order_);  // |β_j y_j|
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

  /// The leading Ritz pairs of one operator, in a row of the last check.
  void extract(int64_t slot, int64_t row, int64_t columns) {
    const int64_t i = direction_[slot];
    const auto chosen = order_[row].narrow(0, 0, m_);
    result_.values[i].copy_(values_[row].index_select(0, chosen));
    const auto mix = coefficients_[row].index_select(1, chosen).t().to(result_.vectors.options());  // [m, j]
    result_.vectors[i].copy_(mix.mm(spaces_->vectors(slot)));
    result_.columns[i] = columns;
  }

  /// Takes slots out by moving the last ones into their places. When all were checked, their Ritz pairs move
  /// along.
  void remove(const std::vector<int64_t>& slots) {
    for (auto slot = slots.rbegin(); slot != slots.rend(); ++slot) {
      const int64_t last = spaces_->slots() - 1;
      if (*slot != last && spaces_->full()) {
        for (auto* tensor : {&values_, &coefficients_, &order_}) (*tensor)[*slot].copy_((*tensor)[last]);
      }
      spaces_->remove(*slot);
      direction_[*slot] = direction_[last];
      pace_[*slot] = pace_[last];
      direction_.pop_back();
      pace_.pop_back();
    }
    if (!slots.empty()) which_ = at::tensor(direction_, at::kLong).to(device_);
  }

  /// Keeps the leading Ritz vectors, more than are wanted, so that the others go on converging.
  void restart() {
    const int64_t a = spaces_->slots(), j = spaces_->filled(), keep = std::min(m_ + (j - m_) / 2, j - 1);
    const auto chosen = order_.narrow(0, 0, a).narrow(1, 0, keep);
    const auto mix = coefficients_.narrow(0, 0, a)
                         .gather(2, chosen.unsqueeze(1).expand({a, j, keep}))
                         .contiguous();  // Y [a, j, keep]
    spaces_->restart(values_.narrow(0, 0, a).gather(1, chosen), mix);
    for (auto& pace : pace_) pace = LanczosPace::behind_restart(keep);
  }

  const SymmetricOperators& q_;
  const LanczosConfig& config_;
  at::Device device_;
  int64_t m_ = 0;       // Ritz pairs that are looked for: the wanted ones and their guards
  bool whole_ = false;  // a full basis spans all that is not locked
  std::optional<KrylovSpaces> spaces_;
  std::vector<int64_t> direction_;            // of each slot
  at::Tensor which_;                          // the same, on the device
  std::vector<LanczosPace> pace_;             // of each slot
  at::Tensor values_, coefficients_, order_;  // of T, at the last check, a row for each slot that was due
  RitzPairs result_;
};

}  // namespace

RitzPairs lanczos(const SymmetricOperators& q, int64_t n, const at::Tensor& start, const at::Tensor& locked,
                  const LanczosConfig& config) {
  return Lockstep(q, n, start, locked, config).run();
}

int64_t columns_to_see(int64_t r, double excess, double missed) {
  const double rate = std::sqrt(excess / (2 + 2 * excess));
  const double columns = (std::log(1.648 * std::sqrt(static_cast<double>(r)) / missed) / rate + 1) / 2;
  return std::clamp<int64_t>(static_cast<int64_t>(std::ceil(columns)), 0, r);
}

}  // namespace bilens
