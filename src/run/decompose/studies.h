#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bilens/analysis/eigen/eigen_plan.h"
#include "bilens/records/decomposition.h"
#include "decompose_data.h"
#include "decompose_summary.h"

namespace bilens {

/// What a study works on, and the folder that it writes into.
struct StudyInput {
  const LayerSource& source;
  const Decomposition& decomposition;
  const DecomposeRunConfig& config;
  const DecomposeData& data;
  const std::vector<std::string>& pieces;  // as in DecomposeInput
  std::filesystem::path out;
};

/// What a study takes for one layer, in a dry run.
struct StudyCost {
  int64_t bytes = 0;  // while the layer is worked on
  int64_t kept = 0;   // bytes until all are done
  double seconds = 0;
};

/// A study of a model with its decomposition: the analyses of the config that it makes, and what makes them.
struct StudyRow {
  std::vector<std::pair<std::string, Analysis>> analyses;
  /// Makes and writes the study of a decomposition with eigenpairs or factors. Adds what the command says of
  /// each layer to the entries of `layers`, which stand for the decomposition's in their order.
  void (*run)(const StudyInput& input, std::vector<LayerResult>& layers);
  /// Says in words what the study added to such an entry; "" where that is nothing.
  std::string (*words)(const LayerResult& layer);
  StudyCost (*cost)(const EigenSizes& sizes, const LayerSource& source, const DecomposeRunConfig& config,
                    const DecomposeData& data);
};

/// Each from the file of its name.
const StudyRow& image_study();
const StudyRow& token_study();
const StudyRow& corpus_study();

/// All of them, in the order in which they run.
const std::vector<const StudyRow*>& studies();

/// Whether one of its analyses is asked for.
bool is_wanted(const StudyRow& study, const std::vector<Analysis>& analyses);

}  // namespace bilens
