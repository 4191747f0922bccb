#include "bilens/nn/soft_cap.h"

#include <ATen/ATen.h>

namespace bilens {

at::Tensor soft_capped(const at::Tensor& x, double cap) { return cap > 0 ? (x / cap).tanh() * cap : x; }

at::Tensor soft_cap_(at::Tensor& x, double cap) {
  x.div_(cap).tanh_();
  auto slopes = x.square().neg_().add_(1);
  x.mul_(cap);
  return slopes;
}

}  // namespace bilens
