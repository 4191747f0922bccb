#include "bilens/records/factors.h"

#include <utility>

namespace bilens {

namespace {

constexpr const char* kNothing = "null where there is nothing but rounding";

template <size_t... I>
std::vector<FactorsDescription> describe_all(std::index_sequence<I...>) {
  using Found = decltype(Factors::found);
  return {{std::variant_alternative_t<I, Found>::kMethod,
           std::variant_alternative_t<I, Found>::record().fields(),
           std::variant_alternative_t<I, Found>::tensors().fields()}...};
}

template <class F>
Factors read_found(const Json& figures, const std::string& where, const WeightFile& file,
                   Dimensions dimensions) {
  F found = read_record<F>(figures, where);
  F::tensors().read(file, "", found, dimensions);
  return {std::move(found), "", 0};
}

using Reader = Factors (*)(const Json&, const std::string&, const WeightFile&, Dimensions);

template <size_t... I>
std::vector<std::pair<std::string, Reader>> all_readers(std::index_sequence<I...>) {
  using Found = decltype(Factors::found);
  return {
      {std::variant_alternative_t<I, Found>::kMethod, &read_found<std::variant_alternative_t<I, Found>>}...};
}

constexpr auto kAll = std::make_index_sequence<std::variant_size_v<decltype(Factors::found)>>();

const std::vector<std::pair<std::string, Reader>>& readers() {
  static const auto all = all_readers(kAll);
  return all;
}

}  // namespace

const TensorTable<Sparsity>& Sparsity::tensors() {
  using S = Sparsity;
  static const auto table =
      TensorTable<S>()
          .tensor("nonzeros", &S::nonzeros, "", StoredAs::kFloat64, "entries that are not exactly zero")
          .tensor("participation", &S::participation, "", StoredAs::kFloat64,
                  "(Σx²)²/Σx⁴, the number of entries that a vector effectively lives on")
          .tensor("hoyer", &S::hoyer, "", StoredAs::kFloat64, "(√d − ‖x‖₁/‖x‖₂)/(√d − 1)");
  return table;
}

const RecordTable<HosvdMode>& HosvdMode::record() {
  using R = HosvdMode;
  static const auto table =
      RecordTable<R>()
          .field("kept", &R::kept, "Factors in the file.")
          .field("resolved", &R::resolved,
                 "Those of them that are above `floor`; with a difference these alone count as energy.")
          .field("energy", &R::energy_kept,
                 std::string("Share of energy of the factors kept; ") + kNothing + ".")
          .field("discarded", &R::discarded, "Σσ² of the factors that are not kept.")
          .field("floor", &R::floor, "What is below cannot be told from rounding.");
  return table;
}

TensorTable<HosvdMode> HosvdMode::tensors(const std::string& count, const std::string& size) {
  using R = HosvdMode;
  return TensorTable<R>()
      .tensor("vectors", &R::vectors, count + ", " + size, StoredAs::kRunDtype,
              "orthonormal rows, largest component positive")
      .tensor("singular_values", &R::singular_values, count, StoredAs::kFloat64, "σ, falling")
      .tensor("energy", &R::energy, count, StoredAs::kFloat64, "cumulative share of energy");
}

const RecordTable<HosvdFactors>& HosvdFactors::record() {
  using R = HosvdFactors;
  static const auto table =
      RecordTable<R>()
          .field("squared_norm", &R::squared_norm, "Σ‖Q‖²_F of all directions.")
          .field("output", &R::output, "Factors that are mixtures of the directions.")
          .field("input", &R::input, "Factors in the input space.")
          .field("unchanged", &R::unchanged, "Whether all of it is rounding; of a difference.")
          .omitted()
          .field("floor", &R::floor, "What rounding can leave of the root of `squared_norm`.")
          .omitted();
  return table;
}

const TensorTable<HosvdFactors>& HosvdFactors::tensors() {
  using R = HosvdFactors;
  static const auto table = TensorTable<R>()
                                .part("hosvd_output_", &R::output, HosvdMode::tensors("a", "n"))
                                .part("hosvd_input_", &R::input, HosvdMode::tensors("b", "d_in"));
  return table;
}

const RecordTable<SparseFactors>& SparseFactors::record() {
  using R = SparseFactors;
  static const auto table =
      RecordTable<R>()
          .field("sparsity", &R::sparsity, "Entries of a vector in each of the p steps of the path.")
          .field("converged", &R::share_converged, "Share of the vectors that converged.")
          .field("unchanged", &R::unchanged,
                 "Directions where there is nothing but rounding; of a difference.")
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
          .tensor("sparse_iterations", &R::iterations, "p, n, k", StoredAs::kInt32, "of the start that won")
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
          .tensor("floor", &R::floor, "n", StoredAs::kFloat64, "of a difference, as with eigenpairs")
          .optional();
  return table;
}

const RecordTable<RotatedFactors>& RotatedFactors::record() {
  using R = RotatedFactors;
  static const auto table =
      RecordTable<R>()
          .field("converged", &R::share_converged, "Share of the directions whose rotation converged.")
          .field("mean_objective", &R::mean_objective, "Mean over directions of ‖Z‖₄⁴.")
          .field("mean_start_objective", &R::mean_start_objective, "The same of the eigenvectors.")
          .field("mean_off_diagonal", &R::mean_off_diagonal,
                 std::string("Mean share of the core off its diagonal; ") + kNothing + ".")
          .field("unchanged", &R::unchanged,
                 "Directions where there is nothing but rounding; of a difference.")
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
          .tensor("rotated_iterations", &R::iterations, "n", StoredAs::kInt32, "of the start that won")
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

const RecordTable<JointFactors>& JointFactors::record() {
  using R = JointFactors;
  static const auto table =
      RecordTable<R>()
          .field("objective", &R::objective, "Σ(vᵀQ_u v)² over directions and vectors.")
          .field("squared_norm", &R::squared_norm, "Σ‖Q‖²_F of all directions.")
          .field("diagonal_energy", &R::diagonal_energy_kept,
                 std::string("Share of energy without cross terms; ") + kNothing + ".")
          .field("full_energy", &R::full_energy,
                 std::string("Share of energy with cross terms; ") + kNothing + ".")
          .field("off_diagonal", &R::off_diagonal, "Share of the full cores that is not on their diagonals.")
          .field("gradient", &R::gradient, "What the tolerance is compared with.")
          .field("converged", &R::converged, "Whether the gradient is within the tolerance.")
          .field("unchanged", &R::unchanged, "Whether all of it is rounding; of a difference.")
          .omitted()
          .field("floor", &R::floor, "What rounding can leave of the root of `squared_norm`.")
          .omitted();
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

const RecordTable<CpFactors>& CpFactors::record() {
  using R = CpFactors;
  static const auto table =
      RecordTable<R>()
          .field("objective", &R::objective, "‖B − M‖² of the layer's tensor B and its terms M.")
          .field("squared_norm", &R::squared_norm, "‖B‖².")
          .field("energy", &R::energy, std::string("1 − ‖B − M‖²/‖B‖²; ") + kNothing + ".")
          .field("full_energy", &R::full_energy,
                 std::string("Share of energy within the span of all l and r; ") + kNothing + ".")
          .field("off_diagonal", &R::off_diagonal, "Share of these full cores that the terms leave out.")
          .field("condition", &R::condition,
                 "Condition of the unit terms' Gram matrix; large where they nearly cancel.")
          .field("cancellation", &R::cancellation, "Σ‖term‖² over ‖M‖².")
          .field("gradient", &R::gradient, "What the tolerance is compared with.")
          .field("status", &R::status, "`converged`, `diverging` or `not converged`.")
          .field("converged", &R::converged, "Whether the status is `converged`.")
          .field("refit_residual", &R::refit_residual,
                 "Residual of the optimality conditions; only with `l1` or `nonnegative`.")
          .omitted()
          .field("unchanged", &R::unchanged, "Whether all of it is rounding; of a difference.")
          .omitted()
          .field("floor", &R::floor, "What rounding can leave of the root of `squared_norm`.")
          .omitted();
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

std::string Factors::method() const {
  return std::visit([](const auto& f) { return std::string(f.kMethod); }, found);
}

Json Factors::figures() const {
  return std::visit([](const auto& f) { return f.record().write(f); }, found);
}

NamedTensors Factors::tensors(const Dimensions& dimensions) const {
  return std::visit([&](const auto& f) { return f.tensors().write(f, "", dimensions); }, found);
}

bool finds_factors(const std::string& method, const std::string& where) {
  if (method == kEigen) return false;
  std::vector<std::string> names = {kEigen};
  for (const auto& [name, reader] : readers()) {
    if (name == method) return true;
    names.push_back(name);
  }
  throw Error(ExitCode::kBadInput,
              {where, "a method of this version: " + join(names), "\"" + method + "\"",
               "It was written by another bilens: use that version, or decompose again."});
}

Factors factors_of(const std::string& method, const Json& figures, const std::string& where,
                   const WeightFile& file, const Dimensions& dimensions) {
  finds_factors(method, where);
  for (const auto& [name, reader] : readers())
    if (name == method) return reader(figures, where, file, dimensions);
  throw std::logic_error("a method without a reader: " + method);
}

std::vector<FactorsDescription> describe_factors() { return describe_all(kAll); }

}  // namespace bilens
