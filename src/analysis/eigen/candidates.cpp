#include "candidates.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bilens/tensor/device.h"
#include "dense_eigen.h"
#include "spectrum.h"

namespace bilens {

at::Tensor choose(const at::Tensor& values, int64_t k, double eps) {
  const int64_t c = values.size(0), q = values.size(1), count = std::min(k, q);
  auto chosen = at::empty({c, count}, at::kLong);
  for (int64_t i = 0; i < c; ++i) {
    const Spectrum spectrum{values.const_data_ptr<double>() + i * q, q, q, true};
    const auto order = order_of(spectrum.values, q, kTieFactor * eps * spectrum.norm());
    std::copy_n(order.begin(), count, chosen.mutable_data_ptr<int64_t>() + i * count);
  }
  return chosen;
}

namespace {

/// Rows [c, k, ·] of the chosen columns of vectors [c, ·, q].
at::Tensor take_columns(const at::Tensor& vectors, const at::Tensor& chosen) {
  const auto index = chosen.to(vectors.device()).unsqueeze(1).expand({-1, vectors.size(1), -1});
  return vectors.gather(2, index).mT().contiguous();
}

}  // namespace

Candidates solve_dense(const InteractionOperator& q, int64_t k) {
  const auto [values, vectors] = checked_eigh(q.form(0, q.count(), at::kDouble));
  const auto spectra = values.cpu().nan_to_num(0).contiguous();
  const auto chosen = choose(spectra, k, machine_epsilon(at::kDouble));
  return {spectra, take_columns(vectors, chosen), chosen, at::full({q.count()}, q.dimension(), at::kInt),
          true};
}

/// Q = FᵀDF with the p rows of W and V that count in F: by Fᵀ = AR, A times the eigenvectors of RDRᵀ (2p×2p).
Candidates solve_low_rank(const InteractionOperator& q, int64_t k) {
  const auto& s = q.scales();
  const int64_t c = q.count(), r = q.dimension(),
                p = std::max<int64_t>(s.ne(0).sum(1).max().item<int64_t>(), 1);
  const auto rows = std::get<1>(s.abs().topk(p, 1));  // [c, p]
  const auto flat = rows.flatten();
  const auto pick = [&](const at::Tensor& weight) { return weight.index_select(0, flat).view({c, p, r}); };
  const auto f = at::cat({pick(q.layer().gate), pick(q.layer().up)}, 1);  // [c, 2p, r]
  const auto half = s.gather(1, rows).unsqueeze(2) * 0.5;
  const auto [a, upper] = at::linalg_qr(f.mT(), k > 2 * p ? "complete" : "reduced");
  const auto triangle = upper.narrow(1, 0, 2 * p);
  const auto of_gate = triangle.narrow(2, 0, p), of_up = triangle.narrow(2, p, p);
  const auto one_side = of_gate.matmul(half * of_up.mT());
  const auto [values, small] = checked_eigh(one_side + one_side.mT());
  const auto spectra = values.to(at::kCPU, at::kDouble).nan_to_num(0).contiguous();
  const auto chosen = choose(spectra, k, machine_epsilon(at::kDouble));
  auto vectors = take_columns(small, chosen).matmul(a.narrow(2, 0, 2 * p).mT());
  if (k > 2 * p) vectors = at::cat({vectors, a.narrow(2, 2 * p, std::min(k, r) - 2 * p).mT()}, 1);
  return {spectra, vectors, chosen, at::full({c}, 2 * p, at::kInt), true};
}

}  // namespace bilens
