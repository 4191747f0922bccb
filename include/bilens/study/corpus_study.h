#pragma once

#include <vector>

#include "bilens/analysis/forms/bilinear_layer.h"
#include "bilens/core/fields.h"
#include "bilens/records/corpus_record.h"
#include "bilens/records/layer_decomposition.h"
#include "bilens/study/mlp_gains.h"
#include "bilens/study/text_windows.h"

namespace bilens {

struct CorpusStudyConfig {
  int64_t tokens = 50000;
  int64_t contexts = 8;     // of each sign of an eigenvector's projection
  int64_t sample = 2000;    // tokens that quantiles and histograms are of
  int64_t loss_tokens = 0;  // read for losses with a layer truncated
  int64_t seed = 0;         // of the sample

  static const FieldTable<CorpusStudyConfig>& fields();
};

constexpr double kCorpusQuantiles[] = {0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99};

/// A layer that was decomposed, its weights as they were, and the gains that were folded into them.
struct CorpusSource {
  const LayerDecomposition& decomposition;
  BilinearLayer layer;
  MlpGains gains;
  at::Tensor unit_constants = {};  // [h] of a surrogate whose units have constants, which are in down_bias
};

/// @throws Error(kBadInput) unless the model has the layer, of that width
void check_fit(const CorpusSource& source, const DecoderConfig& model);

/// Runs the model over a text, of which config.tokens are given, and measures what its layers' eigenpairs
/// contribute. Memory beside the model: corpus_study_bytes() once, corpus_layer_bytes() a layer.
/// @throws Error(kBadInput) when layers and model do not fit; Stopped
CorpusStudy study_corpus(Decoder& model, const TextWindows& text, const std::vector<CorpusSource>& sources,
                         const CorpusStudyConfig& config);

/// Bytes that study_corpus() takes once, whatever the layers.
int64_t corpus_study_bytes();
/// Bytes that it takes for each layer. @param directions of the layer @param k eigenpairs of each
int64_t corpus_layer_bytes(int64_t directions, int64_t k, const CorpusStudyConfig& config);

/// A layer in a few numbers.
CorpusSummary summarize_corpus(const CorpusLayer& layer);

}  // namespace bilens
