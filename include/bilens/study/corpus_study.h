#pragma once

#include <filesystem>
#include <vector>

#include "bilens/analysis/forms/bilinear_layer.h"
#include "bilens/analysis/results/layer_decomposition.h"
#include "bilens/core/fields.h"
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

  /// Where p = v·x is largest and where it is most negative, [n, k, 2, contexts]: int32 places in
  /// CorpusStudy::ids, −1 beyond those of that sign, and p there.
  at::Tensor context_places, context_projections;
  /// The same at kCorpusQuantiles of p among the sample's tokens, [n, k, 7]; and how often p falls between
  /// `edges` [n, k, 25] there, int32 [n, k, 24].
  at::Tensor quantile_places, quantile_projections, edges, counts;
  /// Correlation and R² over the sample's active tokens alone, whose u·y is more than output_std from
  /// output_mean; and how many these are, int32 [n].
  at::Tensor active_correlation, active_r2, active_count;

  /// Of a surrogate, for the sample's tokens, float32 [n, s]: how far the form is from u·y, and for that
  /// token what it can be at most, Σ_j |(uP)_j| |f(z_j) − ẑ_j| |v_j| with z = Wx + b, v = Vx + c and ẑ what
  /// stands for f(z). Undefined for a bilinear model.
  at::Tensor sample_error, sample_bound;
};

constexpr double kCorpusQuantiles[] = {0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99};

struct CorpusStudy {
  Json data;  // what was read
  int64_t tokens = 0;
  int64_t window = 0;              // tokens in a row that see each other; the last one may be shorter
  at::Tensor ids;                  // int32 [tokens]
  at::Tensor sample;               // int32 [s], places in ids, ascending
  std::vector<std::string> names;  // of all tokens, by id
  Json losses;                     // of truncated layers (text_truncation.h), or null
  std::vector<CorpusLayer> layers;
};

/// A layer that was decomposed, its weights as they were, and the gain of the norm in front of it when that
/// was folded into them, else undefined.
struct CorpusSource {
  const LayerDecomposition& decomposition;
  BilinearLayer layer;
  at::Tensor gain;
};

/// @throws Error(kBadInput) unless the model has the layer, of that width
void check_fit(const CorpusSource& source, const DecoderConfig& model);

/// Runs the model over a text, of which config.tokens are given, and measures what its layers' eigenpairs
/// contribute. Memory beside the model: corpus_study_bytes() once, corpus_layer_bytes() a layer.
/// @throws Error(kBadInput) when layers and model do not fit; Stopped
CorpusStudy study_corpus(Decoder& model, const TextWindows& text, const std::vector<CorpusSource>& sources,
                         const CorpusStudyConfig& config);

int64_t corpus_study_bytes();
/// @param directions of the layer @param k eigenpairs of each
int64_t corpus_layer_bytes(int64_t directions, int64_t k, const CorpusStudyConfig& config);

/// A layer in a few numbers, means over its directions (null where none has a value): {"layer", "directions",
/// "quadratic", "linear", "constant": shares of the mean squares, "form_r2", "r2", "correlation": [k + 1],
/// "active": {"share" of the sample, "r2", "correlation"}, "surrogate": null or {"error", "bound": medians
/// over tokens, in output_std}}.
Json summarize_corpus(const CorpusLayer& layer);

/// Writes corpus.json, with these summaries, and corpus.safetensors (docs/formats.md).
void write_corpus_study(const std::filesystem::path& directory, const CorpusStudy& study);

}  // namespace bilens
