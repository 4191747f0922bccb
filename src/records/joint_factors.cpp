#include "bilens/records/joint_factors.h"

namespace bilens {

const RecordTable<JointFactors>& JointFactors::record() {
  using R = JointFactors;
  static const auto table =
      RecordTable<R>()
          .field("objective", &R::objective, "Σ(vᵀQ_u v)² over directions and vectors.")
          .not_negative()
          .field("squared_norm", &R::squared_norm, "Σ‖Q‖²_F of all directions.")
          .not_negative()
          .field("diagonal_energy", &R::diagonal_energy_kept,
                 "Share of energy without cross terms; null where there is nothing but rounding.")
          .share()
          .field("full_energy", &R::full_energy,
                 "Share of energy with cross terms; null where there is nothing but rounding.")
          .share()
          .field("off_diagonal", &R::off_diagonal, "Share of the full cores that is not on their diagonals.")
          .share()
          .field("gradient", &R::gradient, "What the tolerance is compared with.")
          .not_negative()
          .field("converged", &R::converged, "Whether the gradient is within the tolerance.")
          .all_of(TensorRounding::record());
  return table;
}

const TensorTable<JointFactors>& JointFactors::tensors() {
  using R = JointFactors;
  static const auto table = TensorTable<R>()
                                .tensor("joint_vectors", &R::vectors, "k, d_in", StoredAs::kRunDtype,
                                        "orthonormal rows, shared by all directions")
                                .tensor("joint_values", &R::values, "n, k", StoredAs::kFloat64, "vᵀQ_u v")
                                .tensor("joint_diagonal_energy", &R::diagonal_energy, "k", StoredAs::kFloat64,
                                        "share of energy without cross terms, cumulative")
                                .tensor("joint_history", &R::history, "iterations", StoredAs::kFloat64,
                                        "the objective of the start that won, step by step")
                                .tensor("joint_start_objectives", &R::start_objectives, "starts",
                                        StoredAs::kFloat64, "what each start reached")
                                .part("joint_", &R::measure, Sparsity::tensors(), "k");
  return table;
}

}  // namespace bilens
