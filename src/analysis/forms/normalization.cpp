#include "normalization.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "bilens/core/error.h"
#include "bilens/core/text.h"

namespace bilens {

namespace {
// Products of several tensors this near to 1, squared, are within float64's range.
constexpr double kNear = 100;
}  // namespace

at::Tensor scale_to_one(const at::Tensor& tensor, at::ScalarType dtype, double& unit) {
  const double largest = tensor.abs().max().item<double>();
  if (largest > 0) unit *= largest;
  const auto wide = tensor.to(at::promote_types(tensor.scalar_type(), dtype));
  return (largest > 0 ? wide / largest : wide).to(dtype);
}

at::Tensor power_of_two(const at::Tensor& exponents) {
  auto powers = exponents.to(at::kCPU, at::kDouble).clone(at::MemoryFormat::Contiguous);
  auto* values = powers.mutable_data_ptr<double>();
  for (int64_t i = 0; i < powers.numel(); ++i) values[i] = std::ldexp(1.0, static_cast<int>(values[i]));
  return powers.to(exponents.device());
}

at::Tensor scale_by_power(const at::Tensor& tensor, const at::Tensor& exponents) {
  const auto half = (exponents * 0.5).floor();  // 2^exponent itself may be out of range
  const auto power = [&](const at::Tensor& of) { return power_of_two(of).to(tensor.options()); };
  return tensor * power(half) * power(exponents - half);
}

at::Tensor binary_exponent(const at::Tensor& x) { return x.abs().to(at::kDouble).log2().floor(); }

at::Tensor bring_near_one(const at::Tensor& tensor, const std::string& name, double& exponent) {
  const auto largest = binary_exponent(tensor.abs().max());
  const double own = largest.item<double>();
  if (!std::isfinite(own) || std::abs(own) <= kNear) return tensor;
  auto scaled = scale_by_power(tensor.to(at::kDouble), -largest);
  const auto lost = tensor.ne(0).logical_and(scaled.abs() < std::numeric_limits<double>::min());
  if (lost.any().item<bool>()) {
    const auto smallest = tensor.abs().masked_select(lost).max().item<double>();
    throw Error(ExitCode::kBadInput,
                {name, "entries whose ratios float64 holds",
                 format("entries from %.3g to %.3g", smallest, tensor.abs().max().item<double>()),
                 "Set what is that small to 0."});
  }
  exponent += own;
  return scaled;
}

void require_held(const at::Tensor& values) {
  if (values.isfinite().all().item<bool>()) return;
  throw Error(ExitCode::kBadInput, {"layer", "interaction matrices of numbers that float64 holds",
                                    "some above 1.8e308", "Divide the weights by a power of two."});
}

at::Tensor orient(const at::Tensor& vectors) {
  const auto sign = vectors.gather(-1, vectors.abs().argmax(-1, /*keepdim=*/true)).sign();
  return vectors * at::where(sign == 0, at::ones_like(sign), sign);
}

}  // namespace bilens
