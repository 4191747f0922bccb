#include "normalization.h"

#include <ATen/ATen.h>

namespace bilens {

at::Tensor scale_to_one(const at::Tensor& tensor, at::ScalarType dtype, double& unit) {
  const double largest = tensor.abs().max().item<double>();
  if (largest > 0) unit *= largest;
  const auto wide = tensor.to(at::promote_types(tensor.scalar_type(), dtype));
  return (largest > 0 ? wide / largest : wide).to(dtype);
}

at::Tensor orient(const at::Tensor& vectors) {
  const auto sign = vectors.gather(-1, vectors.abs().argmax(-1, /*keepdim=*/true)).sign();
  return vectors * at::where(sign == 0, at::ones_like(sign), sign);
}

}  // namespace bilens
