#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bilens/analysis/eigen/eigen_plan.h"
#include "bilens/analysis/factors/cp.h"
#include "bilens/analysis/factors/hosvd.h"
#include "bilens/analysis/factors/joint.h"
#include "bilens/analysis/factors/rotation.h"
#include "bilens/analysis/factors/sparse_eigen.h"
#include "bilens/core/fields.h"

namespace bilens {

/// What the words of factors say where a difference is rounding alone.
inline constexpr const char* kNoChange = "no change";

/// The config keys that each method has of its own.
struct MethodOptions {
  HosvdConfig hosvd;
  SparseEigenConfig sparse_eigen;
  RotationConfig rotate;
  JointConfig joint;
  CpConfig cp;

  static const FieldTable<MethodOptions>& fields();
};

/// What a method takes, beside the stored weights.
struct MethodCost {
  int64_t bytes = 0;
  std::optional<double> seconds;  // nothing where that depends on how it converges
  std::string words;
};

/// One way to decompose a layer. A new one is a row of methods(), and a drawing in the report.
struct Method {
  using Run = std::function<Factors(const EigenProblem&, const EigenPairs&, at::Device, const EigenConfig&,
                                    const MethodOptions&)>;
  using Cost = std::function<MethodCost(const EigenProblem&, const EigenSizes&, at::Device,
                                        const EigenConfig&, const MethodOptions&)>;

  std::string name;
  std::string meaning;
  bool finds_pairs = false;              // eigenpairs come first; what `run` finds is made of them
  Run run = nullptr;                     // null: eigenpairs are all that it finds
  Cost cost = nullptr;                   // null where the eigenpairs cost what counts
  std::vector<std::string> unused = {};  // keys beside the methods' own, for all methods, that it passes over
  /// The layer, float64 and without biases, that its factors stand for; null where they approximate none.
  std::function<BilinearLayer(const Factors&)> stands_for = nullptr;
};

const std::vector<Method>& methods();

/// @param name of one of them
const Method& method_named(const std::string& name);

/// The layer that the factors stand for, where their method approximates one.
std::optional<BilinearLayer> approximate_layer(const Factors& factors);

}  // namespace bilens
