#include "bilens/nn/recompute.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <memory>

namespace bilens {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Recomputed = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

/// Carries a function through saved_data.
struct Holder : torch::CustomClassHolder {
  explicit Holder(Recomputed f) : function(std::move(f)) {}
  Recomputed function;
};

struct Checkpoint : torch::autograd::Function<Checkpoint> {
  static at::Tensor forward(AutogradContext* context, at::TensorList inputs,
                            const std::shared_ptr<Recomputed>& function) {
    context->save_for_backward(inputs.vec());
    context->saved_data["function"] = c10::IValue::make_capsule(c10::make_intrusive<Holder>(*function));
    return (*function)(inputs.vec());
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto holder =
        c10::static_intrusive_pointer_cast<Holder>(context->saved_data["function"].toCapsule());
    variable_list inputs, wanted;
    for (const auto& saved : context->get_saved_variables()) {
      inputs.push_back(saved.detach().requires_grad_(saved.requires_grad()));
      if (saved.requires_grad()) wanted.push_back(inputs.back());
    }
    const at::AutoGradMode with_gradients(true);
    const auto found = torch::autograd::grad({holder->function(inputs)}, wanted, grads, false, false, true);
    variable_list result;
    size_t next = 0;
    for (const auto& input : inputs) result.push_back(input.requires_grad() ? found[next++] : at::Tensor());
    result.emplace_back();
    return result;
  }
};

}  // namespace

at::Tensor recompute(const Recomputed& function, const std::vector<at::Tensor>& inputs) {
  return Checkpoint::apply(at::TensorList(inputs), std::make_shared<Recomputed>(function));
}

}  // namespace bilens
