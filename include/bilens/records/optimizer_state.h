#pragma once

#include <string>

#include "bilens/records/tensor_table.h"

namespace bilens {

/// The file of a checkpoint that holds what an optimizer keeps of each parameter, as "exp_avg.NAME" of the
/// parameter NAME. No random state is in it: every random number is a function of the seed and the step.
inline constexpr const char* kOptimizerFile = "optimizer.safetensors";

/// What AdamW keeps of a parameter that it moves.
struct AdamWState {
  at::Tensor exp_avg, exp_avg_sq, step;

  static const TensorTable<AdamWState>& tensors();
};

/// What Muon keeps of a parameter that it moves.
struct MuonState {
  at::Tensor momentum;

  static const TensorTable<MuonState>& tensors();
};

/// What the tensor `name` of a state is called where it is that of a parameter.
std::string state_name(const std::string& name, const std::string& parameter);

/// Adds what is kept of a parameter under its names in the file; the tensors are shared, not copied.
/// @throws Error(kBadInput) where one is not of the dtype that its row states
template <class State>
void add_state(NamedTensors& tensors, const State& state, const std::string& parameter) {
  for (auto& [name, tensor] : State::tensors().write(state, "", {}))
    tensors.emplace_back(state_name(name, parameter), std::move(tensor));
}

}  // namespace bilens
