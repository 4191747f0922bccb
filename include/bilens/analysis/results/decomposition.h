#pragma once

#include <filesystem>
#include <vector>

#include "bilens/analysis/results/layer_decomposition.h"

namespace bilens {

/// A decomposition directory (docs/formats.md). decomposition.json is written last: where it is, all is
/// there.
struct Decomposition {
  Json info;  // decomposition.json without "layers"
  std::vector<LayerDecomposition> layers;
};

constexpr const char* kDecompositionFile = "decomposition.json";

/// Of how many directions a bound on all other eigenvalues is proved.
int64_t count_certified(const EigenPairs& pairs);

/// Writes decomposition.json over layer files that are there (LayerFile), and removes their records of
/// progress.
void write_decomposition(const std::filesystem::path& directory, const Decomposition& decomposition);

/// What is to be said of a decomposition that an earlier version made, by rules on gates, norms and biases
/// that were wrong for some models: its decomposition.json does not record where gate and norm came from. ""
/// of all others, and of image classifiers, for which nothing has changed.
std::string doubt_about(const Json& info);

/// @throws Error(kBadInput): missing, damaged, of a newer version, or tensors that do not fit the description
Decomposition read_decomposition(const std::filesystem::path& directory);

}  // namespace bilens
