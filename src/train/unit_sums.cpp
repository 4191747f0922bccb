#include "bilens/train/unit_sums.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bilens/nn/gated_product.h"

namespace bilens {

namespace {

constexpr int64_t kSummedAtOnce = 256;  // tokens, in float64, several times over
constexpr double kLeastScale = 1e-6;    // beside the centre, of numbers that do not vary

/// Their standard deviation, or what is no less than it where they hardly vary. @param values [n, h]
at::Tensor scale_of(const at::Tensor& values, const at::Tensor& centre) {
  const auto scale = at::maximum((values - centre).square().mean(0).sqrt(), kLeastScale * centre.abs());
  return at::where(scale > 0, scale, at::ones_like(scale));
}

}  // namespace

UnitSums::UnitSums(int64_t units, at::Device device) {
  grams = at::zeros({kFeatures, kFeatures, units}, at::TensorOptions(at::kDouble).device(device));
}

void UnitSums::add(const at::Tensor& gate, const at::Tensor& up, const at::Tensor& weights,
                   const Activation& activation) {
  for (int64_t first = 0; first < gate.size(0); first += kSummedAtOnce) {
    const auto part = [&](const at::Tensor& all) {
      return all.narrow(0, first, std::min(kSummedAtOnce, gate.size(0) - first)).to(at::kDouble);
    };
    add_part(part(gate), part(up), part(weights), activation);
  }
}

void UnitSums::add_part(const at::Tensor& z, const at::Tensor& y, const at::Tensor& weights,
                        const Activation& activation) {
  if (!centre.defined()) {
    centre = at::stack({z.mean(0), y.mean(0)});
    scale = at::stack({scale_of(z, centre[0]), scale_of(y, centre[1])});
  }
  const auto zs = (z - centre[0]) / scale[0], ys = (y - centre[1]) / scale[1];
  const auto terms =
      at::stack({zs * ys, ys, zs.square(), zs, at::ones_like(zs), gated_product(z, y, activation)});
  const auto weighted = terms * weights.unsqueeze(1);
  for (int64_t i = 0; i < kFeatures; ++i) {
    const auto sums = (terms.narrow(0, i, kFeatures - i) * weighted[i]).sum(1);
    grams[i].narrow(0, i, kFeatures - i) += sums;
    grams.select(1, i).narrow(0, i + 1, kFeatures - i - 1) += sums.narrow(0, 1, kFeatures - i - 1);
  }
}

}  // namespace bilens
