#pragma once

#include <filesystem>
#include <vector>

#include "bilens/analysis/bilinear_layer.h"
#include "bilens/analysis/layer_decomposition.h"
#include "bilens/core/fields.h"
#include "bilens/data/text_data.h"
#include "bilens/model/llama_decoder.h"

namespace bilens {

struct CorpusStudyConfig {
  int64_t tokens = 50000;

  static const FieldTable<CorpusStudyConfig>& fields();
};

/// One layer's forms u·y ≈ xᵀQx + l·x + c on text; n directions, k eigenpairs each. All float64.
struct CorpusLayer {
  int64_t layer = 0;
  at::Tensor output_mean, output_std;              // [n] of u·y, y the model's own MLP output
  at::Tensor contribution_mean, contribution_std;  // [n, k] of λ(v·x)²
  at::Tensor part_mean, part_square;               // [n, 3] mean and mean square of xᵀQx, l·x and c
  at::Tensor form_r2;                              // [n] R² of the whole form: 1 where it is the layer
  /// [n, k + 1] of the first 0 ... k eigenpairs with l·x + c in place of the form: the correlation with u·y,
  /// and R² = 1 − Σ(u·y − ŷ)² / Σ(u·y − mean)², nothing refitted. NaN for what does not vary.
  at::Tensor correlation, r2;
};

struct CorpusStudy {
  Json data;  // what was read
  int64_t tokens = 0;
  std::vector<CorpusLayer> layers;
};

/// A layer that was decomposed, its weights as they were, and the gain of the norm in front of it when that
/// was folded into them, else undefined.
struct CorpusSource {
  const LayerDecomposition& decomposition;
  const BilinearLayer& layer;
  at::Tensor gain;
};

/// Runs the model over windows of `context` tokens from the stream's start and measures what its layers'
/// eigenpairs contribute. Memory beside the model: corpus_study_bytes().
/// @throws Error(kBadInput) when layers and model do not fit; Stopped
CorpusStudy study_corpus(LlamaDecoder& model, const TokenStream& stream, int64_t context, Packing packing,
                         const std::vector<CorpusSource>& sources, const CorpusStudyConfig& config);

int64_t corpus_study_bytes();

/// Writes corpus.json and corpus.safetensors (docs/formats.md).
void write_corpus_study(const std::filesystem::path& directory, const CorpusStudy& study);

}  // namespace bilens
