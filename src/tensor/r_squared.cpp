#include "bilens/tensor/r_squared.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

namespace bilens {

at::Tensor varies(const at::Tensor& spread, const at::Tensor& size, at::ScalarType dtype) {
  const double eps = dtype == at::kDouble ? std::numeric_limits<double>::epsilon()
                                          : static_cast<double>(std::numeric_limits<float>::epsilon());
  return spread > std::pow(64 * eps, 2) * size;
}

at::Tensor r_squared(const at::Tensor& error, const at::Tensor& spread, const at::Tensor& size,
                     at::ScalarType dtype) {
  return at::where(varies(spread, size, dtype), 1 - error / spread, NAN);
}

}  // namespace bilens
