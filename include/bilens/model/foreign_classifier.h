#pragma once

#include <string>
#include <vector>

#include "bilens/model/image_classifier.h"
#include "bilens/model/mlp_names.h"

namespace bilens {

/// An image classifier that another program stored under its own names, by its header. It computes what ours
/// does.
struct ForeignClassifier {
  ClassifierConfig config;
  std::string embed, head;  // names of their weights
  std::vector<MlpNames> mlps;
};

/// Sizes of what an expression stands for, without reading the data.
std::vector<int64_t> shape_of_expression(const Weights& weights, const std::string& expression);

/// Loads that model under our names: its logits are those of the original up to rounding in float32.
/// @throws Error(kBadInput) for a tensor that does not fit the config or is not finite
ImageClassifier load_foreign_classifier(const Weights& weights, const ForeignClassifier& found);

}  // namespace bilens
