#include "krylov.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "bilens/tensor/device.h"
#include "bilens/tensor/random.h"

namespace bilens {

namespace {
constexpr double kTwice = 0.5;  // "twice is enough": a second pass where the first took most away
}  // namespace

KrylovSpaces::KrylovSpaces(int64_t n, const at::Tensor& start, const at::Tensor& locked, int64_t most)
    : locked_(locked.defined() ? locked.size(1) : 0),
      r_(start.size(-1)),
      most_(most),
      eps_(machine_epsilon(start.scalar_type())),
      slots_(n),
      size_(n, 0.0) {
  basis_ = at::empty({n, locked_ + most_ + 1, r_}, start.options());
  projected_ = at::zeros({n, most_, most_}, at::kDouble);
  if (locked.defined()) basis_.narrow(1, 0, locked_).copy_(locked);
  auto w = start.expand({n, r_}).clone();
  for (int pass = 0; pass < 2 && locked_ > 0; ++pass) orthogonalize(w, 0);
  vector(0).copy_(w / w.norm(2, {1}, true));
}

at::Tensor KrylovSpaces::basis(int64_t count) const {
  return basis_.narrow(0, 0, slots_).narrow(1, 0, locked_ + count);
}
at::Tensor KrylovSpaces::vector(int64_t index) const {
  return basis_.narrow(0, 0, slots_).select(1, locked_ + index);
}
at::Tensor KrylovSpaces::vectors(int64_t slot) const { return basis_[slot].narrow(0, locked_, filled_); }
at::Tensor KrylovSpaces::projected() const {
  return projected_.narrow(0, 0, slots_).narrow(1, 0, filled_).narrow(2, 0, filled_);
}
at::Tensor KrylovSpaces::last_beta() const { return beta_.to(at::kCPU, at::kDouble); }

/// w ← w − BᵀBw for the first `count` vectors and the locked ones. @return Bw [slots, locked + count]
at::Tensor KrylovSpaces::orthogonalize(at::Tensor& w, int64_t count) const {
  const auto b = basis(count);
  const auto inner = at::bmm(w.unsqueeze(1), b.mT());  // seven times as fast as b·w, in the library used
  w = at::baddbmm(w.unsqueeze(1), inner, b, 1, -1).squeeze(1);
  return inner.squeeze(1);
}

/// A unit vector orthogonal to all there is, for slots whose Krylov space is exhausted.
void KrylovSpaces::put_random(const std::vector<int64_t>& slots, int64_t index) {
  const auto generator = make_generator(at::kCPU, derive_seed(0, "lanczos restart", index));
  const auto noise = at::randn({r_}, generator, at::dtype(at::kDouble)).to(basis_.options());
  for (const int64_t slot : slots) {
    const auto b = basis_[slot].narrow(0, 0, locked_ + index);
    auto w = noise;
    for (int pass = 0; pass < 3; ++pass) w = w - b.t().mv(b.mv(w));
    basis_[slot][locked_ + index].copy_(w / w.norm());
  }
}

void KrylovSpaces::step(const SymmetricOperators& q, const at::Tensor& which) {
  const int64_t j = filled_;
  const auto x = vector(j).contiguous();
  auto w = q(x, which);                               // Q b_j
  auto alpha = (x * w).sum(1, true);                  // α_j = b_jᵀQ b_j
  w = w - alpha * x;                                  // − α_j b_j
  if (j > restarted_) w = w - beta_ * vector(j - 1);  // − β_{j−1} b_{j−1}
  const auto before = w.norm(2, {1}, true);
  alpha =
      alpha + orthogonalize(w, j + 1).narrow(1, locked_ + j, 1);  // what rounding, or the arrow, left of B
  beta_ = w.norm(2, {1}, true);                                   // β_j
  if (j == restarted_ || beta_.lt(before * kTwice).any().item<bool>()) {
    orthogonalize(w, j + 1);
    beta_ = w.norm(2, {1}, true);
  }
  filled_ = j + 1;
  store(alpha, w);
}

/// α_j and β_j into T, b_{j+1} = w/β_j into the basis. Where β_j is rounding the space is exhausted: T falls
/// apart there, and a random vector goes on.
void KrylovSpaces::store(const at::Tensor& alpha, const at::Tensor& w) {
  const int64_t j = filled_ - 1;
  const auto host = at::cat({alpha, beta_}, 1).to(at::kCPU, at::kDouble);
  const auto ab = host.accessor<double, 2>();
  auto t = projected_.accessor<double, 3>();
  std::vector<int64_t> exhausted;
  for (int64_t slot = 0; slot < slots_; ++slot) {
    size_[slot] = std::max(size_[slot], std::abs(ab[slot][0]) + ab[slot][1]);
    t[slot][j][j] = ab[slot][0];
    if (ab[slot][1] <= 20 * eps_ * size_[slot]) exhausted.push_back(slot);
    if (!full()) t[slot][j][filled_] = t[slot][filled_][j] = ab[slot][1];
  }
  if (complete()) return;
  vector(filled_).copy_(w / beta_);
  for (const int64_t slot : exhausted) {
    beta_[slot] = 0;
    if (!full()) t[slot][j][filled_] = t[slot][filled_][j] = 0;
  }
  if (!exhausted.empty()) put_random(exhausted, filled_);
}

void KrylovSpaces::restart(const at::Tensor& values, const at::Tensor& mix) {
  const int64_t j = filled_, keep = values.size(1);
  const auto arrow = mix.select(1, j - 1) * last_beta();
  const auto small = mix.to(basis_.options());
  for (int64_t slot = 0; slot < slots_; ++slot) {
    const auto own = basis_[slot].narrow(0, locked_, j + 1);
    own.narrow(0, 0, keep).copy_(small[slot].t().mm(own.narrow(0, 0, j)));  // Ritz vectors YᵀB
    own[keep].copy_(own[j]);  // the last residual, as a unit vector
  }
  auto t = projected_.narrow(0, 0, slots_);
  t.zero_();
  t.diagonal(0, 1, 2).narrow(1, 0, keep).copy_(values);
  t.narrow(1, 0, keep).select(2, keep).copy_(arrow);
  t.select(1, keep).narrow(1, 0, keep).copy_(arrow);
  filled_ = restarted_ = keep;
}

void KrylovSpaces::remove(int64_t slot) {
  const int64_t last = slots_ - 1;
  if (slot != last) {
    for (auto* tensor : {&projected_, &beta_}) (*tensor)[slot].copy_((*tensor)[last]);
    const auto used = [&](int64_t i) { return basis_[i].narrow(0, 0, locked_ + filled_ + 1); };
    used(slot).copy_(used(last));
    size_[slot] = size_[last];
  }
  size_.pop_back();
  slots_ = last;
  beta_ = beta_.narrow(0, 0, last);
}

}  // namespace bilens
