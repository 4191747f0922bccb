#pragma once

#include <optional>

#include "bilens/train/adamw.h"
#include "bilens/train/muon.h"

namespace bilens {

enum class Algorithm { kAdamW, kMuon };

struct OptimizerConfig {
  Algorithm algorithm = Algorithm::kAdamW;
  AdamWConfig adamw;
};

/// Whether Muon moves this parameter: the matrices between hidden layers; embedding, output head and vectors
/// are AdamW's.
bool is_hidden_matrix(const std::string& name, at::IntArrayRef shape);

/// Bytes kept of a parameter from step to step: one moment by Muon, two by AdamW.
int64_t moment_bytes(const std::string& name, at::IntArrayRef shape, const OptimizerConfig& config);

/// What moves the parameters of a run: AdamW, or Muon for the hidden matrices and AdamW for the rest.
class Optimizer {
 public:
  /// @param parameters named leaves that require gradients; float32
  Optimizer(const NamedTensors& parameters, const OptimizerConfig& config);

  /// Updates the parameters from their gradients, unless `skip` (float32 [1], 1 = skip, on the device, never
  /// read here). @param number of the step, from which the rounding of bfloat16 moments is drawn
  void step(double learning_rate, const at::Tensor& skip, int64_t number);
  void zero_grad();
  /// Of all parameters, as they are.
  std::vector<at::Tensor> gradients() const;

  /// Scales all gradients so that their joint norm is at most `max_norm` (0: only measures).
  /// @return the norm before, float32 scalar on the device
  at::Tensor clip_gradients(double max_norm);

  /// Moments and step counts by parameter name.
  NamedTensors state() const;
  /// @throws Error(kBadInput) when a tensor is missing or of another shape.
  void load_state(const SafetensorsFile& file);

 private:
  std::vector<at::Tensor> parameters_;
  std::optional<Muon> muon_;
  std::optional<AdamW> adamw_;
};

}  // namespace bilens
