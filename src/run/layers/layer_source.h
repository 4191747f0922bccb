#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bilens/analysis/forms/bilinear_layer.h"
#include "bilens/model/image_classifier.h"
#include "bilens/records/decomposition.h"
#include "gate_choice.h"
#include "models/vocabulary.h"
#include "weight_map.h"

namespace bilens {

/// How a model's layers are to be read.
struct LayerSourceConfig {
  WeightMap weights;
  std::optional<Gate> gate;  // where nothing beside the weights says it
  bool fold_norm = true;
  std::optional<SurrogateKind> surrogate;  // nothing: layers that are no bilinear ones are refused
};

/// A layer to be decomposed, on the CPU: as stored, or with norms folded in (stored_layer.h).
struct SourceLayer {
  int64_t number = 0;
  BilinearLayer layer;
  at::Tensor embed;                // E, when the layer's input is E x; else undefined
  at::Tensor head;                 // H, when the layer's output reaches the outputs linearly; else undefined
  at::Tensor unit_constants = {};  // [h] of a calibrated surrogate: κ of its units, which are in down_bias
};

/// One of a model's layers, which takes memory only while somebody works on it.
struct LazyLayer {
  int64_t number = 0;
  std::function<SourceLayer()> load;
  bool is_gated = false;  // no bilinear one, as it is stored
};

/// The bilinear layers of a model, whatever its format.
struct LayerSource {
  explicit LayerSource(StoredModel stored) : model(std::move(stored)) {}

  StoredModel model;
  std::string sha256;
  std::string minus_sha256;                    // of the model that was subtracted; "": none
  std::optional<ClassifierConfig> classifier;  // of an image classifier's directory
  bool over_inputs = false;              // whether an embedding leads to the first layer, without a norm
  bool raw_stream = false;               // whether the layers read what no norm has scaled
  std::optional<LanguageModel> decoder;  // and its vocabulary, of a language model where somebody asked
  std::optional<Vocabulary> vocabulary;
  GateChoice gate;
  bool fold_norm = false;                      // whether a norm was folded in
  std::optional<NormRecord> norm;              // nothing where none is known
  std::optional<SurrogateRecord> surrogate;    // what the layers stand for, where they do
  std::optional<ConversionRecord> conversion;  // of a model made from another
  std::vector<LazyLayer> layers;

  /// @param number of one of the layers
  SourceLayer load(int64_t number) const;
};

/// Reads the layers of a model: what `weights` names; else an image classifier, ours or the
/// papers', by its config.json; else every gated MLP of a known format (model/mlp_names.h). With `fold_norm`
/// the norms around an MLP (model/architecture.h) go into its matrices, and its input is the normed one
/// before the gain. Of a model that is bilinear in some layers only, these are read where no surrogate stands
/// for the others. `decoder` and `vocabulary` are left empty, and layers whose surrogate is to be calibrated
/// (decompose/surrogate.h) are as they are stored.
/// @throws Error(kBadInput): no such layers, a gate that is not known or not bilinear and has no surrogate, a
/// norm that is not known, parts of layers, shapes that do not fit; Error(kUsage): what contradicts the
/// config
LayerSource load_layers(const StoredModel& model, const LayerSourceConfig& config = {});

}  // namespace bilens
