#include "bilens/records/cp_factors.h"

namespace bilens {

const RecordTable<CpFactors>& CpFactors::record() {
  using R = CpFactors;
  static const auto table =
      RecordTable<R>()
          .field("objective", &R::objective, "‖B − M‖² of the layer's tensor B and its terms M.")
          .not_negative()
          .field("squared_norm", &R::squared_norm, "‖B‖².")
          .not_negative()
          .field("energy", &R::energy, "1 − ‖B − M‖²/‖B‖²; null where there is nothing but rounding.")
          .share()
          .field("full_energy", &R::full_energy,
                 "Share of energy within the span of all l and r; null where there is nothing but rounding.")
          .share()
          .field("off_diagonal", &R::off_diagonal, "Share of these full cores that the terms leave out.")
          .share()
          .field("condition", &R::condition,
                 "Condition of the unit terms' Gram matrix; large where they nearly cancel.")
          .not_negative()
          .field("cancellation", &R::cancellation, "Σ‖term‖² over ‖M‖².")
          .not_negative()
          .field("gradient", &R::gradient, "What the tolerance is compared with.")
          .not_negative()
          .field("status", &R::status, "`converged`, `diverging` or `not converged`.")
          .field("converged", &R::converged, "Whether the status is `converged`.")
          .field("refit_residual", &R::refit_residual,
                 "Residual of the optimality conditions; only with `l1` or `nonnegative`.")
          .not_negative()
          .omitted()
          .all_of(TensorRounding::record());
  return table;
}

const TensorTable<CpFactors>& CpFactors::tensors() {
  using R = CpFactors;
  static const auto table = TensorTable<R>()
                                .tensor("cp_left", &R::left, "R, d_in", StoredAs::kRunDtype, "l, unit rows")
                                .tensor("cp_right", &R::right, "R, d_in", StoredAs::kRunDtype, "r, unit rows")
                                .tensor("cp_outputs", &R::outputs, "n, R", StoredAs::kFloat64,
                                        "a, with u·y ≈ Σ_r a_ur (l_r·x)(r_r·x)")
                                .tensor("cp_diagonal_energy", &R::diagonal_energy, "R", StoredAs::kFloat64,
                                        "share of energy of the projection onto the first terms, cumulative")
                                .tensor("cp_history", &R::history, "iterations", StoredAs::kFloat64,
                                        "‖B − M‖² of the start that won, step by step")
                                .tensor("cp_start_errors", &R::start_errors, "starts", StoredAs::kFloat64,
                                        "‖B − M‖² that each start reached")
                                .part("cp_left_", &R::left_measure, Sparsity::tensors(), "R")
                                .part("cp_right_", &R::right_measure, Sparsity::tensors(), "R")
                                .part("cp_outputs_", &R::output_measure, Sparsity::tensors(), "R");
  return table;
}

}  // namespace bilens
