#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "bilens/analysis/results/layer_decomposition.h"
#include "bilens/io/safetensors_rows.h"

namespace bilens {

/// One layer's file of a decomposition directory, written as its eigenpairs are found. Beside it, until the
/// decomposition is whole, layer_N.progress.json says how far it is, so that a later run goes on.
class LayerFile {
 public:
  /// @param head  everything of the layer but its eigenpairs
  /// @param run   identifies what is computed (config, weights, directions)
  /// @throws Error(kUsage) when the folder holds the beginning of another run
  LayerFile(const std::filesystem::path& directory, LayerDecomposition head, std::string run);

  /// Directions that are there already.
  int64_t done() const { return done_; }

  /// Eigenpairs of directions first …; they are durable on return.
  void write(int64_t first, const EigenPairs& pairs);

  /// The whole layer, its tensors mapped from the file.
  LayerDecomposition finish();

  static std::string name(int64_t layer);

 private:
  void create(const EigenPairs& pairs);
  void record() const;

  std::filesystem::path directory_, path_, progress_;
  LayerDecomposition head_;
  std::string run_;
  EigenPairs summary_;  // solver, repaired, seconds
  int64_t done_ = 0;
  std::unique_ptr<SafetensorsRows> rows_;
};

/// The file of a layer that is solved as a whole, with factors, whole or not at all; and its record of
/// progress.
/// @param run as in LayerFile
void write_factors(const std::filesystem::path& directory, const LayerDecomposition& layer,
                   const std::string& run);

/// Fills `layer`, of which all but the factors is known, from what an earlier run left; false where there is
/// nothing. @throws Error(kUsage) when the folder holds the beginning of another run
bool read_factors(const std::filesystem::path& directory, LayerDecomposition& layer, const std::string& run);

/// The tensors of a layer's file into `layer`, k eigenpairs of n directions where its method has them,
/// factors where it has those. @throws Error(kBadInput) when they do not fit its sizes
void read_layer_file(const std::filesystem::path& directory, LayerDecomposition& layer, int64_t n, int64_t k);

/// Removes the records of progress of a decomposition that is whole.
void remove_progress(const std::filesystem::path& directory);

}  // namespace bilens
