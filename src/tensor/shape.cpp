#include "bilens/tensor/shape.h"

#include <ATen/ATen.h>

#include "bilens/core/error.h"

namespace bilens {

std::string describe_shape(at::IntArrayRef shape) {
  std::vector<std::string> sizes;
  for (const int64_t size : shape) sizes.push_back(size < 0 ? "any" : std::to_string(size));
  return "[" + join(sizes) + "]";
}

void require_shape(const at::Tensor& tensor, at::IntArrayRef shape, const std::string& name) {
  bool same = tensor.dim() == static_cast<int64_t>(shape.size());
  for (size_t i = 0; same && i < shape.size(); ++i) same = shape[i] < 0 || tensor.size(i) == shape[i];
  if (!same) {
    throw Error(ExitCode::kBadInput,
                {name, "shape " + describe_shape(shape), "shape " + describe_shape(tensor.sizes()), ""});
  }
}

void require_finite(const at::Tensor& tensor, const std::string& name) {
  const auto dtype = tensor.scalar_type();
  if (at::isIntegralType(dtype, /*includeBool=*/true)) return;
  const auto numbers = at::isFloat8Type(dtype) ? tensor.to(at::kFloat) : tensor;  // which have no sums
  // One pass without a mask. A sum is finite only of finite numbers; those may overflow it, the sum of x·0
  // they do not.
  if (at::isfinite(numbers.sum()).item<bool>() || at::isfinite((numbers * 0).sum()).item<bool>()) return;
  throw Error(ExitCode::kBadInput, {name, "finite numbers", "NaN or infinity",
                                    "The model was not saved whole, or its training diverged."});
}

}  // namespace bilens
