#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bilens/analysis/bilinear_layer.h"
#include "bilens/model/image_classifier.h"
#include "bilens/run/vocabulary.h"

namespace bilens {

/// Names of the tensors of one layer in a file with foreign names (expressions of io/weight_names.h).
struct WeightMap {
  std::string gate, up, down;

  bool given() const { return !gate.empty() || !up.empty() || !down.empty(); }
  static const FieldTable<WeightMap>& fields();
};

/// What stands for a gated layer P(f(Wx + b) ⊙ (Vx + c)) that is no bilinear one.
enum class Surrogate {
  kNone,       // nothing: such a layer is refused
  kHalf,       // P(½(Wx + b) ⊙ (Vx + c)): SiLU, GELU and ReLU are z/2 and a rest that is even in z
  kCalibrated  // P((a(Wx + b) + o) ⊙ (Vx + c)): the line nearest to each unit's activation on text
};

/// How a model's layers are to be read.
struct LayerSourceConfig {
  WeightMap weights;
  bool fold_norm = true;
  Surrogate surrogate = Surrogate::kNone;
};

/// A layer to be decomposed, as stored, on the CPU.
struct SourceLayer {
  int64_t number = 0;
  BilinearLayer layer;
  at::Tensor embed;  // E, when the layer's input is E x of an image; else undefined
  at::Tensor head;   // H, when the layer's output reaches the logits linearly; else undefined
};

/// The bilinear layers of a model, whatever its format.
struct LayerSource {
  std::filesystem::path path;
  std::string sha256;
  std::string minus_sha256;                    // of the model that was subtracted; "": none
  std::optional<ClassifierConfig> classifier;  // of an image classifier's directory
  std::optional<Vocabulary> vocabulary;        // of a language model, where somebody asked for it
  Json surrogate;                              // what the layers stand for, where they do; else null
  Json conversion;                             // of a model made from another (run/conversion.h); else null
  std::vector<SourceLayer> layers;
};

/// Reads a model directory or a weight file: what `weights` names; else an image classifier, ours or the
/// papers', by its config.json; else every gated MLP of a known format (io/weight_names.h). With `fold_norm`
/// the gain of an RMSNorm in front of an MLP goes into W and V, and its input is the normed one before the
/// gain. `vocabulary` is left empty, and layers whose surrogate is to be calibrated (run/surrogate.h) are as
/// they are stored.
/// @throws Error(kBadInput): no such layers, a gate that is not bilinear and has no surrogate, shapes that do
/// not fit
LayerSource load_layers(const std::filesystem::path& path, const LayerSourceConfig& config = {});

}  // namespace bilens
