#pragma once

#include <string>
#include <variant>
#include <vector>

#include "bilens/records/record_file.h"
#include "bilens/records/tensor_table.h"

namespace bilens {

/// How few of its d entries a vector lives on; float64, of vectors [..., d]. A zero vector has 0 of each.
struct Sparsity {
  at::Tensor nonzeros;       // [...], entries that are not exactly zero
  at::Tensor participation;  // [...], (Σx²)²/Σx⁴: 1 for a unit vector, d for a constant one
  at::Tensor hoyer;  // [...], (√d − ‖x‖₁/‖x‖₂)/(√d − 1): 1 and 0 there (Hoyer, JMLR 5, 2004)

  static const TensorTable<Sparsity>& tensors();
};

// What each method other than "eigen" finds of a layer, as it stands in its file: its figures and its
// tensors. Vectors have the run's dtype, other reals are float64. Shares of energy are NaN where nothing but
// rounding is there.

/// One mode of a higher-order singular value decomposition.
struct HosvdMode {
  int64_t kept = 0, resolved = 0;
  double energy_kept = 0, discarded = 0, floor = 0;
  at::Tensor vectors, singular_values, energy;

  static const RecordTable<HosvdMode>& record();
  /// @param size the name of the mode's dimension
  static TensorTable<HosvdMode> tensors(const std::string& count, const std::string& size);
};

struct HosvdFactors {
  static constexpr const char* kMethod = "hosvd";
  double squared_norm = 0;
  HosvdMode output, input;
  std::optional<bool> unchanged;
  std::optional<double> floor;

  static const RecordTable<HosvdFactors>& record();
  static const TensorTable<HosvdFactors>& tensors();
};

struct SparseFactors {
  static constexpr const char* kMethod = "sparse_eigen";
  std::vector<int64_t> sparsity;  // entries of a vector in each of the p steps of the path
  double share_converged = 0;
  std::optional<int64_t> unchanged;
  at::Tensor vectors, values, objective, iterations, converged;
  at::Tensor diagonal_energy, full_energy, off_diagonal;
  Sparsity measure;
  at::Tensor floor;

  static const RecordTable<SparseFactors>& record();
  static const TensorTable<SparseFactors>& tensors();
};

struct RotatedFactors {
  static constexpr const char* kMethod = "rotate";
  double share_converged = 0, mean_objective = 0, mean_start_objective = 0, mean_off_diagonal = 0;
  std::optional<int64_t> unchanged;
  at::Tensor vectors, rotation, values, objective, start_objective, iterations, converged, agreeing;
  at::Tensor diagonal_energy, full_energy, off_diagonal;
  Sparsity measure;

  static const RecordTable<RotatedFactors>& record();
  static const TensorTable<RotatedFactors>& tensors();
};

struct JointFactors {
  static constexpr const char* kMethod = "joint";
  double objective = 0, squared_norm = 0, diagonal_energy_kept = 0, full_energy = 0, off_diagonal = 0;
  double gradient = 0;
  bool converged = false;
  std::optional<bool> unchanged;
  std::optional<double> floor;
  at::Tensor vectors, values, diagonal_energy, history, start_objectives;
  Sparsity measure;

  static const RecordTable<JointFactors>& record();
  static const TensorTable<JointFactors>& tensors();
};

struct CpFactors {
  static constexpr const char* kMethod = "cp";
  double objective = 0, squared_norm = 0, energy = 0, full_energy = 0, off_diagonal = 0, condition = 0;
  double cancellation = 0, gradient = 0;
  std::string status;
  bool converged = false;
  std::optional<double> refit_residual;
  std::optional<bool> unchanged;
  std::optional<double> floor;
  at::Tensor left, right, outputs, diagonal_energy, history, start_errors;
  Sparsity left_measure, right_measure, output_measure;

  static const RecordTable<CpFactors>& record();
  static const TensorTable<CpFactors>& tensors();
};

/// What one of these methods found, one line for people, and how long it took.
struct Factors {
  std::variant<HosvdFactors, SparseFactors, RotatedFactors, JointFactors, CpFactors> found;
  std::string words;
  double seconds = 0;

  std::string method() const;
  Json figures() const;
  NamedTensors tensors(const Dimensions& dimensions) const;
};

/// The method that finds eigenpairs alone.
inline constexpr const char* kEigen = "eigen";

/// Whether a method finds factors. @param where what names it, for the message
/// @throws Error(kBadInput) for a name that is neither such a method nor "eigen"
bool finds_factors(const std::string& method, const std::string& where);

/// Factors of a method from its figures and the layer's file. @param where names the figures in messages
/// @throws Error(kBadInput) where they do not fit the method's tables
Factors factors_of(const std::string& method, const Json& figures, const std::string& where,
                   const WeightFile& file, const Dimensions& dimensions);

/// What the documents say of each method.
struct FactorsDescription {
  std::string method;
  std::vector<RecordField> figures;
  std::vector<TensorField> tensors;
};
std::vector<FactorsDescription> describe_factors();

}  // namespace bilens
