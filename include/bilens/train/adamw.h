#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "bilens/io/safetensors.h"

namespace bilens {

struct AdamWConfig {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.5;
  /// What both moments are kept in: float32, or bfloat16, half the memory. The second moment is then rounded
  /// up or down at random, in proportion, since its change at β₂ = 0.999 is below what bfloat16 resolves.
  at::ScalarType moments = at::kFloat;
  uint64_t seed = 0;  // of that rounding
};

/// AdamW (Loshchilov & Hutter, arXiv 1711.05101) by LibTorch's fused kernel, in two groups: matrices decay,
/// vectors (biases, gains) do not.
class AdamW {
 public:
  /// @param parameters named leaves that require gradients; float32
  AdamW(const NamedTensors& parameters, const AdamWConfig& config);

  /// Updates the parameters from their gradients, unless `skip` (float32 [1], 1 = skip, on the device, never
  /// read here). @param number of the step, from which the rounding of bfloat16 moments is drawn
  void step(double learning_rate, const at::Tensor& skip, int64_t number);

  /// Moments and step count by parameter name.
  NamedTensors state() const;

 private:
  struct Group {
    double weight_decay;
    std::vector<std::string> names;
    std::vector<at::Tensor> parameters, first_moments, second_moments, steps;
  };

  std::vector<at::Tensor> gradients(const Group& group) const;
  void step_rounded(Group& group, double learning_rate, const at::Tensor& skip, int64_t number);
  void update(const Group& group, at::TensorList parameters, at::TensorList gradients,
              at::TensorList first_moments, at::TensorList second_moments, at::TensorList steps,
              double learning_rate, const at::Tensor& skip) const;

  AdamWConfig config_;
  std::vector<Group> groups_;
};

}  // namespace bilens
