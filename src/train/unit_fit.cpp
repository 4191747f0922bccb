#include "bilens/train/unit_fit.h"

#include <ATen/ATen.h>

#include <limits>

#include "bilens/nn/gated_product.h"
#include "bilens/tensor/r_squared.h"

namespace bilens {

namespace {
// Differences of sums of so many terms carry roundings of some eps; below this share they are nothing else.
constexpr double kNoVariance = 1e4 * std::numeric_limits<double>::epsilon();
}  // namespace

UnitSums::UnitSums(int64_t units, at::Device device) {
  for (auto* sum : {&w, &wz, &wzz, &wf, &wzf, &wff}) {
    *sum = at::zeros({units}, at::TensorOptions(at::kDouble).device(device));
  }
}

void UnitSums::add(const at::Tensor& gate, const at::Tensor& up, const at::Tensor& weights,
                   const Activation& activation) {
  const auto z = gate.to(at::kDouble);
  const auto f = gated_product(z, at::ones_like(z), activation);
  const auto weight = up.to(at::kDouble).square().mul_(weights.to(at::kDouble).unsqueeze(1));
  const auto weighted_z = weight * z, weighted_f = weight * f;
  w += weight.sum(0);
  wz += weighted_z.sum(0);
  wzz += (weighted_z * z).sum(0);
  wf += weighted_f.sum(0);
  wzf += (weighted_z * f).sum(0);
  wff += (weighted_f * f).sum(0);
}

UnitFit fit_units(const UnitSums& s, bool with_offset) {
  // Normal equations [Σwz² Σwz; Σwz Σw] (a, b) = (Σwzf, Σwf); through the origin a = Σwzf / Σwz².
  const auto determinant = with_offset ? s.w * s.wzz - s.wz * s.wz : s.wzz;
  const auto numerator = with_offset ? s.w * s.wzf - s.wz * s.wf : s.wzf;
  const auto degenerate =
      with_offset ? determinant <= kNoVariance * s.w * s.wzz : s.wzz <= std::numeric_limits<double>::min();
  UnitFit fit;
  fit.slope = at::where(degenerate, at::full_like(s.w, 0.5), numerator / determinant);
  fit.offset = with_offset ? at::where(degenerate, at::zeros_like(s.w), (s.wf - fit.slope * s.wz) / s.w)
                           : at::zeros_like(s.w);
  fit.degenerate = degenerate.to(at::kByte);

  const auto &a = fit.slope, &b = fit.offset;
  const auto left = s.wff - 2 * (a * s.wzf + b * s.wf) + a * a * s.wzz + 2 * a * b * s.wz + b * b * s.w;
  const auto total = s.wff - at::where(s.w > 0, s.wf * s.wf / s.w, at::zeros_like(s.w));
  fit.r2 = r_squared(left.sum(), total.sum(), s.wff.sum(), at::kFloat).item<double>();
  return fit;
}

}  // namespace bilens
