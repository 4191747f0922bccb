#include "bilens/nn/cross_entropy.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "bilens/core/error.h"
#include "bilens/nn/soft_cap.h"
#include "kernels/cpu_kernels.h"
#include "logit_parts.h"
#include "matrix_product.h"

namespace bilens {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Losses of a part; with `gradient` the logits become softmax − one-hot.
at::Tensor losses_of(at::Tensor& logits, const at::Tensor& targets, bool gradient) {
  const int64_t rows = logits.size(0), width = logits.size(1);
  if (logits.device().is_cpu() && logits.scalar_type() == at::kFloat) {
    auto losses = at::empty({rows}, logits.options());
    auto *data = logits.mutable_data_ptr<float>(), *to = losses.mutable_data_ptr<float>();
    const auto* wanted = targets.const_data_ptr<int64_t>();
    at::parallel_for(0, rows, 1 + 16384 / width, [&](int64_t begin, int64_t end) {
      cpu_kernels().cross_entropy(data + begin * width, wanted + begin, to + begin, gradient, end - begin,
                                  width);
    });
    return losses;
  }
  const auto counted = targets.ge(0);
  const auto logs = logits.log_softmax(1);
  const auto places = targets.clamp_min(0).unsqueeze(1);
  const auto losses = -logs.gather(1, places).squeeze(1) * counted;
  if (gradient) {
    logits = logs.exp();
    logits.scatter_add_(1, places, at::full_like(places, -1, logits.options()));
    logits.mul_(counted.unsqueeze(1));
  }
  return losses;
}

/// The type that logits are computed on in: at least float32.
at::ScalarType loss_dtype(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

/// Losses of all rows; the gradients of their sum where the tensors are defined.
at::Tensor in_parts(const at::Tensor& x, const OutputHead& output, const at::Tensor& targets,
                    at::Tensor& grad_x, at::Tensor& grad_head) {
  const auto& head = output.weight;
  auto losses = at::empty({x.size(0)}, x.options().dtype(loss_dtype(x)));
  const int64_t part = rows_of_part(head.size(0), head.device());
  for (int64_t begin = 0; begin < x.size(0); begin += part) {
    const int64_t rows = std::min(part, x.size(0) - begin);
    const auto rows_x = x.narrow(0, begin, rows);
    auto logits = matrix_product(rows_x, head.t()).to(losses.scalar_type());
    const auto slopes = output.soft_cap > 0 ? soft_cap_(logits, output.soft_cap) : at::Tensor();
    losses.narrow(0, begin, rows)
        .copy_(losses_of(logits, targets.narrow(0, begin, rows), grad_x.defined() || grad_head.defined()));
    if (slopes.defined()) logits.mul_(slopes);
    const auto gradient = logits.to(x.scalar_type());
    if (grad_x.defined()) {
      auto place = grad_x.narrow(0, begin, rows);
      matrix_product_into(place, gradient, head);
    }
    if (grad_head.defined()) {
      if (grad_head.scalar_type() == gradient.scalar_type()) {
        grad_head.addmm_(gradient.t(), rows_x, begin == 0 ? 0 : 1);
      } else {
        grad_head.add_(matrix_product(gradient.t(), rows_x));
      }
    }
  }
  return losses;
}

struct CrossEntropySum : torch::autograd::Function<CrossEntropySum> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& head,
                            double soft_cap, const at::Tensor& targets) {
    // Summed over the parts in float32 at least, and rounded once.
    at::Tensor grad_x, grad_head;
    if (x.requires_grad()) grad_x = at::empty_like(x);
    if (head.requires_grad()) grad_head = at::zeros(head.sizes(), head.options().dtype(loss_dtype(x)));
    const auto sum = in_parts(x, {head, soft_cap}, targets, grad_x, grad_head).sum();
    if (grad_head.defined()) grad_head = grad_head.to(head.scalar_type());
    context->save_for_backward({grad_x, grad_head});
    return sum;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    variable_list result(4);
    auto saved = context->get_saved_variables();
    for (size_t i = 0; i < 2; ++i) {
      if (saved[i].defined()) result[i] = saved[i] * grads[0].to(saved[i].scalar_type());
    }
    return result;
  }
};

void check_targets(const at::Tensor& targets, int64_t vocabulary) {
  if (targets.numel() == 0) return;
  const auto largest = targets.max().item<int64_t>();
  if (largest < vocabulary) return;
  throw Error(ExitCode::kBadInput,
              {"tokens", "numbers below the vocabulary's size, " + std::to_string(vocabulary),
               std::to_string(largest), "Data and model have different tokenizers."});
}

}  // namespace

at::Tensor cross_entropy_sum(const at::Tensor& x, const OutputHead& head, const at::Tensor& targets) {
  if (targets.device().is_cpu()) check_targets(targets, head.weight.size(0));
  return CrossEntropySum::apply(x.contiguous(), head.weight, head.soft_cap, targets.contiguous());
}

at::Tensor cross_entropies(const at::Tensor& x, const OutputHead& head, const at::Tensor& targets) {
  if (targets.device().is_cpu()) check_targets(targets, head.weight.size(0));
  const at::NoGradGuard no_grad;
  at::Tensor none, nothing;
  return in_parts(x.contiguous(), head, targets.contiguous(), none, nothing).to(at::kFloat);
}

int64_t loss_memory(int64_t rows, int64_t vocabulary, at::Device device, bool taught) {
  // Logits, their logarithms and gradient; the teacher's, and their products.
  const int64_t tables = taught ? 7 : 3;
  return tables * 4 * vocabulary * std::min(rows, rows_of_part(vocabulary, device));
}

}  // namespace bilens
