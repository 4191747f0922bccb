#include "bilens/records/rotated_factors.h"

namespace bilens {

const RecordTable<RotatedFactors>& RotatedFactors::record() {
  using R = RotatedFactors;
  static const auto table =
      RecordTable<R>()
          .field("converged", &R::share_converged, "Share of the directions whose rotation converged.")
          .share()
          .field("mean_objective", &R::mean_objective, "Mean over directions of ‖Z‖₄⁴.")
          .not_negative()
          .field("mean_start_objective", &R::mean_start_objective, "The same of the eigenvectors.")
          .not_negative()
          .field("mean_off_diagonal", &R::mean_off_diagonal,
                 "Mean share of the core off its diagonal; null where there is nothing but rounding.")
          .share()
          .field("unchanged", &R::unchanged,
                 "Directions where there is nothing but rounding; of a difference.")
          .natural()
          .omitted();
  return table;
}

const TensorTable<RotatedFactors>& RotatedFactors::tensors() {
  using R = RotatedFactors;
  static const auto table =
      TensorTable<R>()
          .tensor("rotated_vectors", &R::vectors, "n, k, d_in", StoredAs::kRunDtype,
                  "Z, orthonormal rows of the span of the eigenvectors")
          .tensor("rotated_rotation", &R::rotation, "n, k, k", StoredAs::kFloat64,
                  "O, with Z = OX and X the eigenvectors")
          .tensor("rotated_values", &R::values, "n, k", StoredAs::kFloat64, "zᵀQz")
          .tensor("rotated_objective", &R::objective, "n", StoredAs::kFloat64, "‖Z‖₄⁴, between k/d and k")
          .tensor("rotated_start_objective", &R::start_objective, "n", StoredAs::kFloat64, "‖X‖₄⁴")
          .tensor("rotated_iterations", &R::iterations, "n", StoredAs::kInt32,
                  "iterations of the start that won")
          .tensor("rotated_converged", &R::converged, "n", StoredAs::kUint8, "1 where the rotation converged")
          .tensor("rotated_agreeing", &R::agreeing, "n", StoredAs::kInt32,
                  "starts that reached this objective")
          .tensor("rotated_diagonal_energy", &R::diagonal_energy, "n, k", StoredAs::kFloat64,
                  "share of energy of the core's diagonal, cumulative; only with energy")
          .optional()
          .tensor("rotated_full_energy", &R::full_energy, "n, k", StoredAs::kFloat64,
                  "share of energy within the span of the vectors, cumulative; only with energy")
          .optional()
          .tensor("rotated_off_diagonal", &R::off_diagonal, "n", StoredAs::kFloat64,
                  "share of the core that is not on its diagonal")
          .part("rotated_", &R::measure, Sparsity::tensors(), "n, k");
  return table;
}

}  // namespace bilens
