#include "bilens/nn/gated_product.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <stdexcept>
#include <type_traits>

#include "bilens/tensor/cuda_library.h"
#include "gated_product_cuda.h"
#include "gated_rows.h"
#include "gated_storage.h"

namespace bilens {

namespace {

constexpr int64_t kGrain = 16384;  // elements a thread takes at least

template <class T>
const GatedKernels<T>& gated_kernels() {
  if constexpr (std::is_same_v<T, float>)
    return cpu_kernels().gated_float;
  else if constexpr (std::is_same_v<T, double>)
    return cpu_kernels().gated_double;
  else
    return cpu_kernels().gated_bfloat16;
}

/// Calls `body(first row, number of rows)` on all threads.
template <class Body>
void for_rows(const at::Tensor& tensor, const Body& body) {
  const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, tensor.size(1)));
  at::parallel_for(0, tensor.size(0), grain, [&](int64_t begin, int64_t end) { body(begin, end - begin); });
}

/// @param in elements from one row of gate and up to the next
template <class T>
void forward_rows(const Activation& activation, const T* gate, const T* up, int64_t in, at::Tensor& y) {
  T* out = writable<T>(y);
  const int64_t to = y.stride(0), width = y.size(1);
  for_rows(y, [&](int64_t first, int64_t count) {
    gated_kernels<T>().forward(activation, gate + first * in, up + first * in, out + first * to,
                               {count, width, in, to});
  });
}

const GatedProductCuda& on_cuda() {
  static const auto& kernels =
      *static_cast<const GatedProductCuda*>(cuda_symbol("bilens_gated_product_cuda"));
  return kernels;
}

}  // namespace

void gated_rows(const Activation& activation, const at::Tensor& gate, const at::Tensor& up, at::Tensor& y) {
  if (gate.is_cuda()) return on_cuda().forward(activation, gate, up, y);
  dispatch_storage(gate.scalar_type(), [&]<class T>() {
    forward_rows(activation, readable<T>(gate), readable<T>(up), gate.stride(0), y);
  });
}

void gated_halves(const Activation& activation, const at::Tensor& both, at::Tensor& y) {
  const int64_t width = y.size(1);
  if (both.is_cuda())
    return gated_rows(activation, both.narrow(1, 0, width), both.narrow(1, width, width), y);
  dispatch_storage(both.scalar_type(), [&]<class T>() {
    forward_rows(activation, readable<T>(both), readable<T>(both) + width, both.stride(0), y);
  });
}

void gated_rows_backward(const Activation& activation, const at::Tensor& grad, const at::Tensor& gate,
                         const at::Tensor& up, at::Tensor& grad_gate, at::Tensor& grad_up,
                         at::Tensor& product) {
  if (gate.is_cuda()) {
    on_cuda().backward(activation, grad, gate, up, grad_gate, grad_up);
    if (product.defined()) on_cuda().forward(activation, gate, up, product);
    return;
  }
  dispatch_storage(gate.scalar_type(), [&]<class T>() {
    const T *dy = readable<T>(grad), *g = readable<T>(gate), *u = readable<T>(up);
    T *dg = writable<T>(grad_gate), *du = writable<T>(grad_up), *out = writable<T>(product);
    const int64_t in = gate.stride(0), to = grad_gate.stride(0), width = gate.size(1);
    for_rows(gate, [&](int64_t first, int64_t count) {
      gated_kernels<T>().backward(activation, dy + first * width, g + first * in, u + first * in,
                                  dg + first * to, du + first * to,
                                  out == nullptr ? nullptr : out + first * width, {count, width, in, to});
    });
  });
}

namespace {

/// @param grad, gate, up [rows, width], without gaps
std::pair<at::Tensor, at::Tensor> backward_rows(const at::Tensor& grad, const at::Tensor& gate,
                                                const at::Tensor& up, const Activation& activation) {
  auto grad_gate = at::empty_like(gate), grad_up = at::empty_like(up);
  at::Tensor no_product;
  gated_rows_backward(activation, grad, gate, up, grad_gate, grad_up, no_product);
  return {grad_gate, grad_up};
}

/// [rows, width], without gaps.
at::Tensor dense_rows(const at::Tensor& x) {
  const int64_t width = x.dim() == 0 ? 1 : x.size(-1);
  return x.contiguous().view({width == 0 ? 0 : x.numel() / width, width});
}

void require_alike(const at::Tensor& gate, const at::Tensor& up) {
  if (gate.sizes() != up.sizes() || gate.scalar_type() != up.scalar_type() || gate.device() != up.device()) {
    throw std::invalid_argument("gated_product: gate and up must have the same shape, dtype and device");
  }
}

struct GatedProduct : torch::autograd::Function<GatedProduct> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& gate,
                            const at::Tensor& up, int64_t kind, double beta) {
    context->save_for_backward({gate, up});
    context->saved_data["kind"] = kind;
    context->saved_data["beta"] = beta;
    auto y = at::empty_like(gate);
    gated_rows({static_cast<Gate>(kind), beta}, gate, up, y);
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const Activation activation(static_cast<Gate>(context->saved_data["kind"].toInt()),
                                context->saved_data["beta"].toDouble());
    const auto [grad_gate, grad_up] = backward_rows(grads[0].contiguous(), saved[0], saved[1], activation);
    return {grad_gate, grad_up, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

const std::vector<std::pair<std::string, Gate>>& gate_names() {
  static const std::vector<std::pair<std::string, Gate>> names = {{"none", Gate::kNone},
                                                                  {"silu", Gate::kSilu},
                                                                  {"gelu", Gate::kGelu},
                                                                  {"gelu_tanh", Gate::kGeluTanh},
                                                                  {"relu", Gate::kRelu}};
  return names;
}

const std::string& gate_name(Gate gate) {
  const auto& names = gate_names();
  return std::find_if(names.begin(), names.end(), [&](const auto& named) { return named.second == gate; })
      ->first;
}

std::optional<Gate> gate_named(const std::string& word) {
  for (const auto& [name, gate] : gate_names())
    if (name == word) return gate;
  return std::nullopt;
}

at::Tensor gated_product(const at::Tensor& gate, const at::Tensor& up, const Activation& activation) {
  require_alike(gate, up);
  return GatedProduct::apply(dense_rows(gate), dense_rows(up), static_cast<int64_t>(activation.kind),
                             activation.beta)
      .view(gate.sizes());
}

std::pair<at::Tensor, at::Tensor> gated_product_backward(const at::Tensor& grad, const at::Tensor& gate,
                                                         const at::Tensor& up, const Activation& activation) {
  require_alike(gate, up);
  require_alike(grad, gate);
  const auto [grad_gate, grad_up] =
      backward_rows(dense_rows(grad), dense_rows(gate), dense_rows(up), activation);
  return {grad_gate.view(gate.sizes()), grad_up.view(up.sizes())};
}

}  // namespace bilens
