#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "bilens/io/safetensors.h"

namespace bilens {

struct MuonConfig {
  double momentum = 0.95;
  double weight_decay = 0.5;
  at::ScalarType moments = at::kFloat;  // what the momentum is kept in: float32 or bfloat16
};

/// Five Newton–Schulz steps X ← aX + (bXXᵀ + c(XXᵀ)²)X from X/‖X‖_F, which bring every singular value above a
/// hundredth of the norm into [0.68, 1.21], in the dtype of the input (bfloat16 suffices).
/// @param matrices [n, rows, columns]
/// @return the same shape: U f(Σ) Vᵀ of each X = UΣVᵀ
at::Tensor orthogonalized(const at::Tensor& matrices);

/// Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon), for matrices between hidden layers:
///   M ← μM + (1 − μ)G;  W ← W − η(0.2 √max(rows, columns) · orthogonalized(μM + (1 − μ)G) + λW)
/// The factor gives an update the root mean square of AdamW's, so that both share η and λ (Liu et al.,
/// arXiv 2502.16982). Matrices of one shape are taken together, up to 64 MiB at once; on a GPU the
/// orthogonalization is in bfloat16.
class Muon {
 public:
  /// @param parameters named leaves [rows, columns] that require gradients; float32
  Muon(const NamedTensors& parameters, const MuonConfig& config);

  /// As AdamW::step.
  void step(double learning_rate, const at::Tensor& skip);

  /// The momentum by parameter name.
  NamedTensors state() const;

 private:
  /// Matrices of one shape, or its transpose: those that stand are laid.
  struct Batch {
    std::vector<std::string> names;
    std::vector<at::Tensor> parameters;
    at::Tensor momentum;  // [n, rows, columns], laid
  };

  at::Tensor update(Batch& batch, const at::Tensor& skip) const;

  MuonConfig config_;
  std::vector<Batch> batches_;
};

}  // namespace bilens
