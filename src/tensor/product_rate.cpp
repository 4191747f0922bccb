#include "bilens/tensor/product_rate.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "bilens/core/stopwatch.h"

namespace bilens {

double measure_product_rate(at::Device device, at::ScalarType dtype) {
  const at::NoGradGuard no_grad;
  const int64_t n = device.is_cpu() ? 768 : 4096;
  const auto a = at::ones({n, n}, at::device(device).dtype(dtype));
  const auto wait = [](const at::Tensor& product) { product.select(0, 0).select(0, 0).item<float>(); };
  wait(a.mm(a));
  const Stopwatch watch;
  double elapsed = 0;
  int64_t products = 0;
  while (elapsed < 0.05) {
    wait(a.mm(a));
    ++products;
    elapsed = watch.seconds();
  }
  return 2.0 * static_cast<double>(n * n * n) * static_cast<double>(products) / elapsed;
}

}  // namespace bilens
