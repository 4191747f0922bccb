#include "bilens/records/sparse_factors.h"

namespace bilens {

const RecordTable<SparseFactors>& SparseFactors::record() {
  using R = SparseFactors;
  static const auto table =
      RecordTable<R>()
          .field("sparsity", &R::sparsity, "Entries of a vector in each of the p steps of the path.")
          .natural()
          .field("converged", &R::share_converged, "Share of the vectors that converged.")
          .share()
          .field("unchanged", &R::unchanged,
                 "Directions where there is nothing but rounding; of a difference.")
          .natural()
          .omitted();
  return table;
}

const TensorTable<SparseFactors>& SparseFactors::tensors() {
  using R = SparseFactors;
  static const auto table =
      TensorTable<R>()
          .tensor("sparse_vectors", &R::vectors, "p, n, k, d_in", StoredAs::kRunDtype,
                  "unit rows of few entries, for each step of the path; zero beyond the rank")
          .tensor("sparse_values", &R::values, "p, n, k", StoredAs::kFloat64, "xᵀQx")
          .tensor("sparse_objective", &R::objective, "p, n, k", StoredAs::kFloat64,
                  "|xᵀRx|, R being what the vectors before leave of Q")
          .tensor("sparse_iterations", &R::iterations, "p, n, k", StoredAs::kInt32,
                  "iterations of the start that won")
          .tensor("sparse_converged", &R::converged, "p, n, k", StoredAs::kUint8,
                  "1 where the vector is the best of its support and another step keeps that")
          .tensor("sparse_diagonal_energy", &R::diagonal_energy, "p, n, k", StoredAs::kFloat64,
                  "share of energy of Σ c_r x_r x_rᵀ with the best c, cumulative")
          .optional()
          .tensor("sparse_full_energy", &R::full_energy, "p, n, k", StoredAs::kFloat64,
                  "share of energy within the span of the vectors, cumulative")
          .optional()
          .tensor("sparse_off_diagonal", &R::off_diagonal, "p, n", StoredAs::kFloat64,
                  "share of the full core that the diagonal one leaves out")
          .part("sparse_", &R::measure, Sparsity::tensors(), "p, n, k")
          .tensor("floor", &R::floor, "n", StoredAs::kFloat64,
                  "what rounding leaves of a difference, as with eigenpairs")
          .optional();
  return table;
}

}  // namespace bilens
