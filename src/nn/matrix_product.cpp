#include "matrix_product.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace bilens {

namespace {

constexpr int64_t kLarge = 64;  // rows and columns from which on three conversions take less than they save

/// Whether LibTorch has fast products of this dtype on this CPU.
bool has_instructions(at::ScalarType dtype) {
#ifdef __x86_64__
  if (dtype == at::kBFloat16) return __builtin_cpu_supports("avx512bw") != 0;
  if (dtype == at::kHalf) return __builtin_cpu_supports("avx512fp16") != 0;
#endif
  return true;
}

bool goes_by_float(const at::Tensor& a, const at::Tensor& b) {
  return a.is_cpu() && !has_instructions(a.scalar_type()) &&
         std::min({a.size(0), a.size(1), b.size(1)}) >= kLarge;
}

at::Tensor by_float(const at::Tensor& a, const at::Tensor& b) {
  return a.to(at::kFloat).mm(b.to(at::kFloat));
}

}  // namespace

at::Tensor matrix_product(const at::Tensor& a, const at::Tensor& b) {
  return goes_by_float(a, b) ? by_float(a, b).to(a.scalar_type()) : a.mm(b);
}

void matrix_product_into(at::Tensor& result, const at::Tensor& a, const at::Tensor& b) {
  if (goes_by_float(a, b))
    result.copy_(by_float(a, b));
  else
    at::mm_out(result, a, b);
}

}  // namespace bilens
