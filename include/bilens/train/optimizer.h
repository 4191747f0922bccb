#pragma once

#include <optional>

#include "bilens/dist/ranks.h"
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

/// For each parameter the process that keeps its moments: the largest parameter first, each to the process
/// that has least of them yet.
std::vector<int64_t> parameter_owners(const NamedTensors& parameters, const OptimizerConfig& config,
                                      int64_t processes);

/// What moves the parameters of a run: AdamW, or Muon for the hidden matrices and AdamW for the rest. With
/// several processes, each keeps the moments of its own parameters and moves those, as in ZeRO (Rajbhandari
/// et al., arXiv 1910.02054, the first stage). All of them call all methods in the same order, but for
/// load_state and zero_grad.
class Optimizer {
 public:
  /// @param parameters named leaves that require gradients; float32
  Optimizer(const NamedTensors& parameters, const OptimizerConfig& config, const Ranks& ranks = Ranks::one());

  /// Updates the parameters from their gradients, unless `skip` (float32 [1], 1 = skip, on the device, never
  /// read here). @param number of the step, from which the rounding of bfloat16 moments is drawn
  void step(double learning_rate, const at::Tensor& skip, int64_t number);
  void zero_grad();

  /// Scales all gradients so that their joint norm is at most `max_norm` (0: only measures). With several
  /// processes, the gradients first become the sums over all.
  /// @param measured float32 [n], on the device: becomes its sum over all processes too
  /// @return the norm before, float32 scalar on the device
  at::Tensor clip_gradients(double max_norm, const at::Tensor& measured = {});

  /// Moments and step counts by the names that they have in a checkpoint. With several processes, all call
  /// it, and the first gets them, on the CPU.
  NamedTensors state() const;
  /// Takes moments and step counts from a checkpoint. With several processes, the first alone calls it, and
  /// all call share_state() then.
  /// @throws Error(kBadInput) when a tensor is missing or of another shape
  void load_state(const SafetensorsFile& file);
  /// Gives all processes what the first has loaded.
  void share_state();

 private:
  NamedTensors own_state() const;
  /// New moments of one parameter, as they stand before the first step.
  NamedTensors moments_of(size_t parameter) const;
  /// The same in the two processes that exchange them, the parameter's owner and the first; else nothing.
  NamedTensors place_for_moments(size_t parameter) const;
  bool owns(size_t parameter) const { return owners_[parameter] == ranks_.rank(); }

  NamedTensors parameters_;
  OptimizerConfig config_;
  const Ranks& ranks_;
  std::vector<int64_t> owners_;  // of the parameters
  std::optional<Muon> muon_;
  std::optional<AdamW> adamw_;
  NamedTensors loaded_;  // of the other processes' parameters, until it is shared
};

}  // namespace bilens
