#pragma once

#include <string>
#include <vector>

#include "bilens/core/fields.h"
#include "bilens/io/tensor_expression.h"
#include "bilens/model/mlp_names.h"

namespace bilens {

/// Names of a stack's tensors in a file with foreign names: expressions of io/tensor_expression.h, in which
/// "{layer}" stands for a number.
struct WeightMap {
  std::string gate, up, down;                 // down "identity": there is none
  std::string gate_bias, up_bias, down_bias;  // empty: those that stand beside the matrices
  std::string norm;                           // gain of the norm in front of the MLP
  std::string embed, head, final_norm;        // in front of the first layer, behind the last
  bool one_plus = false;                      // norm and final_norm are gains less 1

  static const FieldTable<WeightMap>& fields();

  /// Whether the matrices themselves are named.
  bool names_layers() const { return !gate.empty() || !up.empty(); }
  /// The first tensor that is named, as "gate \"NAME\""; "" where none is.
  std::string first_named() const;
  bool says_identity() const { return down == "identity"; }
};

/// Contradictions that the table cannot see.
void check_weight_map(const WeightMap& map, std::vector<Problem>& problems);

/// An expression for one layer: "{layer}" replaced by the number.
std::string for_layer(const std::string& expression, int64_t layer);

/// The layers whose matrices are named, in order, each with the number that stands in its name; with the
/// biases beside them, or those that are named. @throws Error(kBadInput) where no tensor has such a name
std::vector<MlpNames> map_layers(const Weights& weights, const WeightMap& map);

}  // namespace bilens
