#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bilens/records/conversion.h"
#include "bilens/records/layer_decomposition.h"
#include "bilens/records/surrogate.h"

namespace bilens {

/// What the gate of a layer is, and who says so.
struct GateRecord {
  std::string name;    // a gate word: "none", "silu", ...
  std::string source;  // "config.json: hidden_act \"silu\"", "--gate", ...

  static const RecordTable<GateRecord>& record();
};

/// What scales the input of the layers: nothing, a norm of the architecture, or one that somebody named.
enum class NormKind { kNone, kRms, kLayer, kNamed };
std::vector<std::pair<std::string, NormKind>> record_names(NormKind);

/// What is known of the norms around the layers.
struct NormRecord {
  NormKind kind = NormKind::kNone;
  std::optional<std::string> before, gain, behind;  // those that were folded in, and their gain: "w", "1 + w"
  std::string source;                               // who says so

  static const RecordTable<NormRecord>& record();
};

/// decomposition.json: what was decomposed, how, and how well it went.
struct DecompositionRecord {
  static constexpr RecordFormat kFormat = {"bilens-decomposition", 1};

  std::string version;
  std::optional<SurrogateRecord> surrogate;
  std::optional<GateRecord> gate;  // nothing in files of an earlier version
  std::optional<GateRecord> minus_gate;
  std::optional<bool> fold_norm;
  std::optional<NormRecord> norm;
  std::optional<ConversionRecord> converted;
  std::string model, model_sha256;
  std::optional<std::string> minus, minus_sha256;
  std::optional<std::string> model_type;
  std::vector<int64_t> image_shape;  // height and width, or none
  Json config;                       // as DecomposeRunConfig reads it
  std::string device;
  double seconds = 0;
  std::vector<LayerRecord> layers;

  /// What is to be said of a decomposition that an earlier version made, by rules on gates, norms and biases
  /// that were wrong for some models: it does not record where gate and norm came from. "" of all others, and
  /// of image classifiers, for which nothing has changed.
  std::string doubt() const;

  static const RecordTable<DecompositionRecord>& record();
};

/// A decomposition directory (docs/formats.md). decomposition.json is written last: where it is, all is
/// there.
struct Decomposition {
  DecompositionRecord info;
  std::vector<LayerDecomposition> layers;
  NamedTensors surrogates = {};  // SurrogateUnits of each layer, where they were fitted here
};

constexpr const char* kDecompositionFile = "decomposition.json";

/// Writes decomposition.json over layer files that are there (LayerFile), and removes their records of
/// progress. `info.layers` is made of the layers.
void write_decomposition(const std::filesystem::path& directory, const Decomposition& decomposition);

/// @throws Error(kBadInput): missing, damaged, of another version, or tensors that do not fit the description
Decomposition read_decomposition(const std::filesystem::path& directory);

}  // namespace bilens
