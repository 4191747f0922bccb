#include "bilens/run/model_logits.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "language_model.h"

namespace bilens {

at::Tensor model_logits(const StoredModel& model, const std::vector<int64_t>& ids) {
  const at::NoGradGuard no_grad;
  auto decoder = open_language_model(model).load({});
  return decoder.logits(decoder.final_states(at::tensor(ids).unsqueeze(0)).select(1, -1)).squeeze(0);
}

}  // namespace bilens
