#include "bilens/records/weighted_factors.h"

namespace bilens {

const RecordTable<WeightedInputs>& WeightedInputs::record() {
  using R = WeightedInputs;
  static const auto table =
      RecordTable<R>()
          .field("part", &R::part, "Which part of the data.")
          .field("inputs", &R::inputs, "How many inputs: images, or tokens.")
          .natural()
          .field("documents", &R::documents, "How many documents the tokens are of; null of images.");
  return table;
}

const RecordTable<WeightedFactors>& WeightedFactors::record() {
  using R = WeightedFactors;
  static const auto table =
      RecordTable<R>()
          .field("data", &R::data, "Settings of the data.")
          .field("weights", &R::weights, "The inputs that μ and Σ are of.")
          .field("measured", &R::measured,
                 "The inputs that `weighted_r2` and `weighted_variance` are of: others of the same data.")
          .field("dimensions", &R::dimensions, "Directions of the input space in which the inputs vary.")
          .natural()
          .field("cut", &R::cut, "Share of Σ's trace in the other directions, which are left out.")
          .share()
          .field("fixed_length", &R::fixed_length,
                 "Whether all inputs have one length, so that `weighted_shift` is chosen; else it is 0.")
          .field("solver", &R::solver, "How the eigenpairs of S were found.")
          .field("worst_residual", &R::worst_residual, "The largest of `weighted_residuals`.")
          .not_negative()
          .field("converged", &R::converged, "Directions whose eigenpairs all converged.")
          .natural()
          .field("certified", &R::certified, "Directions with a proved bound; only with `certify`.")
          .natural()
          .omitted()
          .field("unchanged", &R::unchanged, "Directions that are rounding alone; only with fixed length.")
          .natural()
          .omitted()
          .field("mean_linear_share", &R::mean_linear_share,
                 "Mean over directions of the linear part's share of the variance under a Gaussian; null "
                 "where there is nothing but rounding.")
          .share()
          .field("mean_linear_r2", &R::mean_linear_r2,
                 "Mean over directions of R² of the linear part alone; null where no output varies.")
          .field("mean_r2", &R::mean_r2, "The same with all k terms.");
  return table;
}

const TensorTable<WeightedFactors>& WeightedFactors::tensors() {
  using R = WeightedFactors;
  constexpr auto kReal = StoredAs::kFloat64;
  static const auto table =
      TensorTable<R>()
          .tensor("weighted_mean", &R::mean, "d_in", kReal, "μ, the mean of the inputs")
          .tensor("weighted_values", &R::values, "n, k", kReal, "κ, by falling absolute value")
          .tensor("weighted_shares", &R::shares, "n, k", kReal,
                  "κ²/‖S‖²_F, the term's share of the quadratic part's variance under a Gaussian; NaN where "
                  "there is nothing but rounding")
          .tensor("weighted_readings", &R::readings, "n, k, d_in", StoredAs::kRunDtype,
                  "r = Σ^−½ w: r·ξ is what the term reads of an input; its variance is 1, and no two of a "
                  "direction are correlated")
          .tensor("weighted_patterns", &R::patterns, "n, k, d_in", StoredAs::kRunDtype,
                  "Σ^½ w = Σ r: how inputs differ, on average, where r·ξ is larger by 1; largest component "
                  "positive")
          .tensor("weighted_slope", &R::slope, "n, d_in", kReal,
                  "2Q_cμ + l, with which the linear part is slope·ξ")
          .tensor("weighted_centre", &R::centre, "n", kReal, "mean of the form over the inputs")
          .tensor("weighted_shift", &R::shift, "n", kReal, "c, with Q_c = Q + cI")
          .tensor("weighted_quadratic_variance", &R::quadratic_variance, "n", kReal,
                  "2‖S‖²_F, the quadratic part's variance under a Gaussian")
          .tensor("weighted_linear_variance", &R::linear_variance, "n", kReal,
                  "the linear part's variance, slopeᵀ Σ slope")
          .tensor("weighted_effective_rank", &R::effective_rank, "n", kReal,
                  "(Σ|κ|)²/Σκ²; NaN where the whole spectrum is not known")
          .tensor("weighted_residuals", &R::residuals, "n, k", kReal, "as `residuals`, of S")
          .tensor("weighted_vector_error", &R::vector_error, "n, k", kReal, "as `vector_error`, of S")
          .tensor("weighted_certified_bound", &R::certified_bound, "n", kReal,
                  "as `certified_bound`, of S; only with `certify`")
          .optional()
          .tensor("weighted_floor", &R::floor, "n", kReal,
                  "as `floor`, of S; only where inputs have one length")
          .optional()
          .tensor("weighted_variance", &R::variance, "n", kReal,
                  "variance of u·y over the inputs of `measured`")
          .optional()
          .tensor(
              "weighted_r2", &R::r2, "n, k + 1", kReal,
              "R² of u·y there, of the linear part with the first 0 ... k terms, nothing refitted; NaN for "
              "what does not vary")
          .optional();
  return table;
}

}  // namespace bilens
