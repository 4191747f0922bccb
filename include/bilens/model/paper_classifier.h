#pragma once

#include <optional>
#include <vector>

#include "bilens/io/weight_names.h"
#include "bilens/model/image_classifier.h"
#include "bilens/model/stored_model.h"

namespace bilens {

/// An image classifier under the names of the papers' code (arXiv 2406.03947, 2410.08417), by its header:
/// embed.weight, blocks.N.weight or W_l, W_r, W_p for each layer, head.weight. It computes what ours does.
struct PaperClassifier {
  ClassifierConfig config;
  ClassifierEnds ends;
  std::vector<MlpNames> mlps;
};

/// Nothing where the weights are no such classifier. Of the config.json beside them (PaperConfig) the keys
/// that change the logits count; without one there is neither residual nor gate.
/// @throws Error(kBadInput): a tensor beside these, layers of different kinds, a config that ours cannot
/// express or that contradicts the weights
std::optional<PaperClassifier> find_paper_classifier(const StoredModel& model);

/// The same model under our names: its logits are those of the original up to rounding in float32.
ImageClassifier load_paper_classifier(const Weights& weights, const PaperClassifier& found);

}  // namespace bilens
