#include "bilens/train/ridge.h"

#include <ATen/ATen.h>

#include "bilens/tensor/shape.h"

namespace bilens {

LeastSquaresSums::LeastSquaresSums(int64_t features, int64_t outputs, at::Device device) {
  const auto options = at::TensorOptions(at::kDouble).device(device);
  hh = at::zeros({features, features}, options);
  th = at::zeros({outputs, features}, options);
}

void LeastSquaresSums::add(const at::Tensor& features, const at::Tensor& targets, const at::Tensor& weights) {
  const auto h = features.to(at::kDouble), t = targets.to(at::kDouble);
  const auto w = weights.to(at::kDouble).unsqueeze(1);
  const auto weighted = h * w;
  hh.addmm_(h.t(), weighted);
  th.addmm_(t.t(), weighted);
  tt += (t.square() * w).sum().item<double>();
}

double LeastSquaresSums::relative_error(const at::Tensor& matrix) const {
  if (tt == 0.0) return 0.0;
  const auto d = matrix.to(at::kDouble);
  return 1.0 + ((d.mm(hh) - 2 * th) * d).sum().item<double>() / tt;
}

const std::vector<double>& default_ridges() {
  static const std::vector<double> ridges = {1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8};
  return ridges;
}

RidgeFit fit_ridge(const LeastSquaresSums& train, const LeastSquaresSums& held_back, const at::Tensor& start,
                   const std::string& where, const std::vector<double>& ridges) {
  for (const auto* sums : {&train, &held_back}) {
    require_finite(sums->hh, where);
    require_finite(sums->th, where);
  }
  RidgeFit best;
  best.matrix = start.to(at::kDouble);
  best.error_before = best.error = held_back.relative_error(best.matrix);
  const double unit = train.hh.diagonal().mean().item<double>();
  if (unit <= 0.0) return best;  // no hidden unit was ever active

  const auto [values, vectors] = at::linalg_eigh(train.hh);
  const auto d0 = best.matrix;
  const auto turned = (train.th - d0.mm(train.hh)).mm(vectors);
  for (const double ridge : ridges) {
    const auto d = d0 + (turned / (values.clamp_min(0) + ridge * unit)).mm(vectors.t());
    const double error = held_back.relative_error(d);
    if (error < best.error) best.matrix = d, best.ridge = ridge, best.error = error;
  }
  return best;
}

}  // namespace bilens
