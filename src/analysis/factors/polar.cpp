#include "polar.h"

#include <ATen/ATen.h>

#include <tuple>

namespace bilens {

at::Tensor polar(const at::Tensor& m) {
  const auto [u, s, vt] = at::linalg_svd(m, /*full_matrices=*/false);
  return u.matmul(vt);
}

}  // namespace bilens
