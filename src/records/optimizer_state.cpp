#include "bilens/records/optimizer_state.h"

namespace bilens {

const TensorTable<AdamWState>& AdamWState::tensors() {
  using R = AdamWState;
  static const auto table =
      TensorTable<R>()
          .tensor("exp_avg", &R::exp_avg, kAnyShape, StoredAs::kFloat32OrBfloat16,
                  "mean of the gradients, of the shape of the parameter NAME, which AdamW moves")
          .tensor("exp_avg_sq", &R::exp_avg_sq, kAnyShape, StoredAs::kFloat32OrBfloat16,
                  "mean of their squares, of the same shape")
          .tensor("step", &R::step, "", StoredAs::kFloat32, "steps that moved it");
  return table;
}

const TensorTable<MuonState>& MuonState::tensors() {
  using R = MuonState;
  static const auto table =
      TensorTable<R>().tensor("momentum", &R::momentum, kAnyShape, StoredAs::kFloat32OrBfloat16,
                              "mean of the gradients, of the shape of the parameter NAME, which Muon moves");
  return table;
}

std::string state_name(const std::string& name, const std::string& parameter) {
  return name + "." + parameter;
}

}  // namespace bilens
