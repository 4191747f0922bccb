#include "refinement.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "bilens/tensor/device.h"
#include "forms/normalization.h"
#include "spectrum.h"

namespace bilens {

Refined refine(const InteractionOperator& exact, at::Tensor x, bool mix) {
  if (mix) {
    x = std::get<0>(at::linalg_qr(x.mT())).mT().contiguous();
  } else {
    x = x / x.norm(2, {2}, true);
  }
  auto qx = exact.apply(x);
  if (mix) {
    const auto h = x.matmul(qx.mT());
    const auto rotation = std::get<1>(at::linalg_eigh((h + h.mT()) * 0.5)).mT();
    x = rotation.matmul(x);
    qx = rotation.matmul(qx);
  }
  const auto values = (x * qx).sum(2, true);
  return {x, values.squeeze(2).cpu(), (qx - x * values).norm(2, {2}).cpu(),
          at::full({x.size(0)}, std::numeric_limits<double>::quiet_NaN(), at::kDouble)};
}

void write_pairs(const Refined& refined, const Candidates& found, const at::Tensor& spectra,
                 const at::Tensor& floors, const EigenConfig& config, EigenPairs& pairs) {
  const int64_t c = refined.values.size(0), k = refined.values.size(1), d = refined.vectors.size(2);
  const int64_t q = spectra.size(1), known = found.chosen.size(1);
  const double eps = machine_epsilon(found.whole ? at::kDouble : config.dtype);
  const auto values = refined.values.contiguous();
  pairs.vector_error = at::zeros({c, k}, at::kDouble);
  pairs.effective_rank = at::zeros({c}, at::kDouble);
  pairs.cluster = at::zeros({c, k}, at::kInt);
  pairs.tie_at_k = at::zeros({c}, at::kByte);
  pairs.columns = found.columns;
  auto order = at::empty({c, k}, at::kLong);
  auto norms = at::empty({c, 1}, at::kDouble);
  for (int64_t i = 0; i < c; ++i) {
    // The k refined ones, then what else is known (a probe may see a guard again).
    const auto* own = values.const_data_ptr<double>() + i * k;
    const auto* all = spectra.const_data_ptr<double>() + i * q;
    std::vector<double> joined(own, own + k);
    std::vector<bool> taken(q, false);
    for (int64_t j = 0; j < known; ++j) taken[found.chosen[i][j].item<int64_t>()] = true;
    for (int64_t j = 0; j < q; ++j)
      if (!taken[j]) joined.push_back(all[j]);
    if (const double beyond = refined.beyond[i].item<double>(); !std::isnan(beyond)) joined.push_back(beyond);
    const Spectrum spectrum{joined.data(), static_cast<int64_t>(joined.size()), d, found.whole};
    const double norm = spectrum.norm(), tie = std::max(kTieFactor * eps * norm, floors[i].item<double>());
    const auto ranks = order_of(own, k, tie);
    // An eigenvalue is within its residual of the truth: two that are closer than that are not told apart.
    const double blur = std::max(tie, 2 * refined.residuals[i].max().item<double>());
    int32_t cluster = 0;
    for (int64_t j = 0; j < k; ++j) {
      order[i][j] = ranks[j];
      const double gap = spectrum.gap(ranks[j]), residual = refined.residuals[i][ranks[j]].item<double>();
      pairs.vector_error[i][j] = gap > 0 ? std::min(residual / gap, 1.0) : 1.0;
      if (j > 0 && std::abs(own[ranks[j]] - own[ranks[j - 1]]) > blur) ++cluster;
      pairs.cluster[i][j] = cluster;
    }
    norms[i][0] = norm > 0 ? norm : 1.0;
    pairs.effective_rank[i] = spectrum.effective_rank();
    pairs.tie_at_k[i] = static_cast<int64_t>(spectrum.tie_at(k, blur));
  }
  pairs.eigenvalues = values.gather(1, order);
  const auto rows = order.to(refined.vectors.device()).unsqueeze(2).expand({c, k, d});
  const auto x = orient(refined.vectors.gather(1, rows));
  const auto rounded = x.to(config.dtype);
  // (Q − λ)(v + δ): rounding adds at most 2‖Q‖‖δ‖ to the residual of what is stored.
  const auto rounding = (rounded.to(at::kDouble) - x).norm(2, {2}).cpu();
  pairs.eigenvectors = rounded.cpu();
  pairs.residuals = refined.residuals.gather(1, order) / norms + 2 * rounding;
  pairs.vector_error = (pairs.vector_error + rounding).clamp_max(1);
}

}  // namespace bilens
