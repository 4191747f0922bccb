#include "bilens/tensor/range.h"

#include <ATen/ATen.h>

#include <limits>

#include "bilens/core/error.h"
#include "bilens/core/text.h"
#include "bilens/tensor/device.h"

namespace bilens {

namespace {

/// The largest number of a dtype; of those that fit into all others 0.
double largest(at::ScalarType dtype) {
  switch (dtype) {
    case at::kDouble: return std::numeric_limits<double>::max();
    case at::kFloat: return std::numeric_limits<float>::max();
    case at::kBFloat16: return std::numeric_limits<c10::BFloat16>::max();
    case at::kHalf: return std::numeric_limits<c10::Half>::max();
    case at::kLong: return std::numeric_limits<int64_t>::max();
    case at::kInt: return std::numeric_limits<int32_t>::max();
    default: return 0;
  }
}

}  // namespace

void require_range(const at::Tensor& tensor, at::ScalarType dtype, const std::string& name) {
  if (tensor.numel() == 0 || largest(tensor.scalar_type()) <= largest(dtype)) return;
  // Beside a NaN or an infinity that is here already, nothing else counts.
  const auto [low, high] = at::aminmax(tensor);
  for (const auto& extreme : {low, high}) {
    if (!at::isfinite(extreme).item<bool>() || at::isfinite(extreme.to(dtype)).item<bool>()) continue;
    throw Error(ExitCode::kBadInput,
                {name, "numbers that " + dtype_name(dtype) + " holds",
                 format("%g, which it does not", extreme.item<double>()), "Keep the wider dtype."});
  }
}

}  // namespace bilens
