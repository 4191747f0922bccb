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
};

/// AdamW (Loshchilov & Hutter, arXiv 1711.05101) by LibTorch's fused kernel, in two groups: matrices decay,
/// vectors (biases, gains) do not.
class AdamW {
 public:
  /// @param parameters named leaves that require gradients; float32
  AdamW(const NamedTensors& parameters, const AdamWConfig& config);

  /// Updates the parameters from their gradients, unless `skip` (float32 [1], 1 = skip, on the device, never
  /// read here).
  void step(double learning_rate, const at::Tensor& skip);
  void zero_grad();

  /// Scales all gradients so that their joint norm is at most `max_norm` (0: only measures).
  /// @return the norm before, float32 scalar on the device
  at::Tensor clip_gradients(double max_norm);

  /// Moments and step count by parameter name.
  NamedTensors state() const;
  /// @throws Error(kBadInput) when a tensor is missing or of another shape.
  void load_state(const SafetensorsFile& file);

 private:
  struct Group {
    double weight_decay;
    std::vector<std::string> names;
    std::vector<at::Tensor> parameters, first_moments, second_moments, steps;
  };

  std::vector<at::Tensor> gradients(const Group& group) const;

  AdamWConfig config_;
  std::vector<Group> groups_;
};

}  // namespace bilens
