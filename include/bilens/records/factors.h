#pragma once

#include <string>
#include <variant>
#include <vector>

#include "bilens/records/cp_factors.h"
#include "bilens/records/hosvd_factors.h"
#include "bilens/records/joint_factors.h"
#include "bilens/records/rotated_factors.h"
#include "bilens/records/sparse_factors.h"
#include "bilens/records/weighted_factors.h"

namespace bilens {

// What each method other than "eigen" finds of a layer, and "eigen" weighted by data, stands in a record of
// its own: its figures and its tensors. Vectors have the run's dtype, other reals are float64. Shares of
// energy are NaN where nothing but rounding is there.

/// What one of these methods found, one line for people, and how long it took.
struct Factors {
  std::variant<HosvdFactors, SparseFactors, RotatedFactors, JointFactors, CpFactors, WeightedFactors> found;
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
