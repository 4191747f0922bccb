#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "bilens/io/safetensors_rows.h"
#include "bilens/records/layer_decomposition.h"

namespace bilens {

/// What a layer's file of tensors says of itself.
constexpr RecordFormat kLayerFormat = {"bilens-decomposition-layer", 1};

/// layer_N.progress.json: how far a layer is, until the decomposition is whole. Eigenpairs are written
/// direction by direction, factors as a whole.
struct LayerProgress {
  std::string run;                    // identifies what is computed (config, weights, directions)
  std::optional<int64_t> directions;  // that are there
  std::optional<Json> figures;        // of factors (factors.h), with their words and seconds
  std::optional<std::string> words;
  std::optional<double> factor_seconds;
  std::optional<EigenSolver> solver;  // of eigenpairs
  int64_t repaired = 0;
  NamedNumbers seconds;

  static const RecordTable<LayerProgress>& record();
};

/// One layer's file of a decomposition directory, written as its eigenpairs are found. Beside it, until the
/// decomposition is whole, layer_N.progress.json says how far it is, so that a later run goes on.
class LayerFile {
 public:
  /// @param head  everything of the layer but its eigenpairs
  /// @param run   as in LayerProgress
  /// @throws Error(kUsage) when the folder holds the beginning of another run
  LayerFile(const std::filesystem::path& directory, LayerDecomposition head, std::string run);

  /// Directions that are there already.
  int64_t done() const { return done_; }

  /// Eigenpairs of directions first …; they are durable on return.
  void write(int64_t first, const EigenPairs& pairs);

  /// The whole layer, its tensors mapped from the file.
  LayerDecomposition finish();

 private:
  void create(const EigenPairs& pairs);
  void record() const;

  std::filesystem::path path_, progress_;
  LayerDecomposition head_;
  std::string run_;
  EigenPairs summary_;  // solver, repaired, seconds
  int64_t done_ = 0;
  std::unique_ptr<SafetensorsRows> rows_;
};

/// The file of a layer that is solved as a whole, with factors, whole or not at all; and its record of
/// progress.
/// @param run as in LayerProgress
void write_factors(const std::filesystem::path& directory, const LayerDecomposition& layer,
                   const std::string& run);

/// Fills `layer`, of which all but the factors is known, from what an earlier run left; false where there is
/// nothing. @throws Error(kUsage) when the folder holds the beginning of another run
bool read_finished_factors(const std::filesystem::path& directory, LayerDecomposition& layer,
                           const std::string& method, const std::string& run);

/// The tensors of a layer's file but those of factors into `layer`.
/// @param sizes "n", and "k" with eigenpairs; takes the other sizes @param pairs whether eigenpairs are there
/// @throws Error(kBadInput) when they do not fit the sizes
void read_layer_tensors(const WeightFile& file, LayerDecomposition& layer, Dimensions& sizes, bool pairs);

/// Removes the records of progress of a decomposition that is whole.
void remove_progress(const std::filesystem::path& directory);

}  // namespace bilens
