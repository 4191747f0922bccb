#include "bilens/nn/distillation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "bilens/nn/soft_cap.h"
#include "logit_parts.h"
#include "matrix_product.h"

namespace bilens {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Loss of some rows, summed, from float logits z of the student and t of the teacher [n, vocabulary]; z
/// becomes its gradient a(softmax z − e_target) + b T (softmax(z/T) − softmax(t/T)).
at::Tensor loss_of(at::Tensor& z, const at::Tensor& t, const at::Tensor& targets,
                   const DistillationWeights& w) {
  const auto counted = targets.ge(0).unsqueeze(1);
  const auto places = targets.clamp_min(0).unsqueeze(1);
  const auto logs = z.log_softmax(1);
  auto loss = -w.cross_entropy * (logs.gather(1, places) * counted).sum();
  auto gradient = logs.exp().mul_(w.cross_entropy);
  gradient.scatter_add_(1, places, at::full_like(places, -w.cross_entropy, z.options()));
  if (w.divergence != 0) {
    const auto student = w.temperature == 1 ? logs : (z / w.temperature).log_softmax(1);
    const auto teacher = (t / w.temperature).log_softmax(1);
    const auto q = teacher.exp();
    const double scale = w.divergence * w.temperature;
    loss = loss + scale * w.temperature * ((teacher - student).mul_(q).mul_(counted)).sum();
    gradient.add_(student.exp().sub_(q), scale);
  }
  z = gradient.mul_(counted);
  return loss;
}

struct DistillationSum : torch::autograd::Function<DistillationSum> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& head,
                            const at::Tensor& teacher_x, const at::Tensor& teacher_head,
                            const at::Tensor& targets, double cap, double teacher_cap,
                            const DistillationWeights& weights) {
    const auto dtype = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    const bool for_head = head.requires_grad();
    auto grad_x = at::empty_like(x);
    auto grad_head = for_head ? at::zeros(head.sizes(), head.options().dtype(dtype)) : at::Tensor();
    auto sum = at::zeros({}, x.options().dtype(dtype));
    const int64_t part = rows_of_part(head.size(0), head.device());
    for (int64_t begin = 0; begin < x.size(0); begin += part) {
      const int64_t rows = std::min(part, x.size(0) - begin);
      const auto some = x.narrow(0, begin, rows);
      auto logits = matrix_product(some, head.t()).to(dtype);
      const auto slopes = cap > 0 ? soft_cap_(logits, cap) : at::Tensor();
      at::Tensor teacher;
      if (weights.divergence != 0) {
        teacher = soft_capped(matrix_product(teacher_x.narrow(0, begin, rows), teacher_head.t()).to(dtype),
                              teacher_cap);
      }
      sum += loss_of(logits, teacher, targets.narrow(0, begin, rows), weights);
      if (slopes.defined()) logits.mul_(slopes);
      const auto gradient = logits.to(x.scalar_type());
      auto place = grad_x.narrow(0, begin, rows);
      matrix_product_into(place, gradient, head);
      if (for_head) grad_head.add_(matrix_product(gradient.t(), some));
    }
    if (for_head) grad_head = grad_head.to(head.scalar_type());
    context->save_for_backward({grad_x, grad_head});
    return sum;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    variable_list result(8);
    const auto saved = context->get_saved_variables();
    for (size_t i = 0; i < 2; ++i) {
      if (saved[i].defined()) result[i] = saved[i] * grads[0].to(saved[i].scalar_type());
    }
    return result;
  }
};

}  // namespace

at::Tensor distillation_sum(const at::Tensor& x, const OutputHead& head, const at::Tensor& teacher_x,
                            const OutputHead& teacher_head, const at::Tensor& targets,
                            const DistillationWeights& weights) {
  return DistillationSum::apply(x.contiguous(), head.weight, teacher_x.detach(), teacher_head.weight.detach(),
                                targets.contiguous(), head.soft_cap, teacher_head.soft_cap, weights);
}

at::Tensor state_error_sum(const std::vector<at::Tensor>& states, const std::vector<at::Tensor>& taught) {
  at::Tensor sum;
  const auto dtype = states.front().scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  for (size_t i = 0; i < states.size(); ++i) {
    const auto t = taught[i].detach().to(dtype);
    const auto error = ((states[i].to(dtype) - t).square().sum(-1) / t.square().sum(-1)).sum();
    sum = sum.defined() ? sum + error : error;
  }
  return sum / static_cast<double>(states.size());
}

}  // namespace bilens
