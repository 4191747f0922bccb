#include "bilens/tensor/packed_matrix.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <utility>

namespace bilens {

namespace {

constexpr int64_t kRowMultiple = 16;  // float32 numbers in a vector register of 512 bits

/// Operators that torch's own compiler uses for frozen weights; they have no C++ header.
std::optional<c10::OperatorHandle> onednn(const char* name) {
  return c10::Dispatcher::singleton().findSchema({name, ""});
}

at::Tensor call(const c10::OperatorHandle& function, torch::jit::Stack stack) {
  function.callBoxed(stack);
  return stack.front().toTensor();
}

bool can_pack(const at::Tensor& a) {
  return a.device().is_cpu() && a.scalar_type() == at::kFloat && at::globalContext().userEnabledMkldnn() &&
         at::hasMKLDNN() && onednn("mkldnn::_reorder_linear_weight") && onednn("mkldnn::_linear_pointwise");
}

at::Tensor reorder(const at::Tensor& weight, int64_t rows) {
  static const auto function = *onednn("mkldnn::_reorder_linear_weight");
  return call(function, {weight, rows});
}

/// XWᵀ
at::Tensor times_packed(const at::Tensor& x, const at::Tensor& weight) {
  static const auto function = *onednn("mkldnn::_linear_pointwise");
  return call(function, {x.contiguous(), weight, c10::IValue(), "none",
                         c10::List<std::optional<at::Scalar>>(), c10::IValue()});
}

/// AXᵀ, transposed. With vectors in columns, padded to whole registers, the library's product is half as fast
/// again as XAᵀ when X is narrow, and with 64 columns nearly twice as fast as with 63.
at::Tensor in_columns(const at::Tensor& a, const at::Tensor& x) {
  const int64_t rows = x.size(0), width = (rows + kRowMultiple - 1) / kRowMultiple * kRowMultiple;
  if (width == rows) return a.mm(x.t()).t();
  auto columns = at::empty({x.size(1), width}, x.options());
  columns.narrow(1, 0, rows).copy_(x.t());
  columns.narrow(1, rows, width - rows).zero_();
  return a.mm(columns).t().narrow(0, 0, rows);
}

}  // namespace

PackedMatrix::PackedMatrix(at::Tensor a) : a_(std::move(a)) {}

PackedMatrix PackedMatrix::pack(const at::Tensor& a, int64_t rows) {
  if (!can_pack(a)) return PackedMatrix(a);
  PackedMatrix packed{at::Tensor()};
  packed.forward_ = reorder(a, rows);
  packed.backward_ = reorder(a.t(), rows);
  return packed;
}

at::Tensor PackedMatrix::times_transposed(const at::Tensor& x) const {
  if (forward_.defined()) return times_packed(x, forward_);
  return x.device().is_cpu() ? in_columns(a_, x) : x.mm(a_.t());
}

at::Tensor PackedMatrix::times(const at::Tensor& x) const {
  if (backward_.defined()) return times_packed(x, backward_);
  return x.device().is_cpu() ? in_columns(a_.t(), x) : x.mm(a_);
}

}  // namespace bilens
