#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bilens/records/record_file.h"
#include "bilens/records/tensor_table.h"
#include "bilens/records/text_truncation.h"

namespace bilens {

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
  /// Places and p at kCorpusQuantiles of p among the sample's tokens, [n, k, 7]; and how often p falls
  /// between `edges` [n, k, 25] there, int32 [n, k, 24].
  at::Tensor quantile_places, quantile_projections, edges, counts;
  /// Correlation and R² over the sample's active tokens alone, whose u·y is more than output_std from
  /// output_mean; and how many these are, int32 [n].
  at::Tensor active_correlation, active_r2, active_count;

  /// How far a surrogate's form is from u·y at each of the sample's tokens, and how far it can be at most
  /// there, float32 [n, s]. The latter is Σ_j |(uP)_j| |f(z_j)y_j − q_j| with z = Wx + b, y = Vx + c and q_j
  /// what stands for the product. Undefined for a bilinear model.
  at::Tensor sample_error, sample_bound;

  static const TensorTable<CorpusLayer>& tensors();
};

/// A layer in a few numbers, means over its directions; NaN where none has a value.
struct CorpusSummary {
  /// Over the sample's active tokens alone.
  struct Active {
    double share = 0;  // of the sample
    std::vector<double> r2, correlation;
    static const RecordTable<Active>& record();
  };
  /// Medians over tokens, in output_std.
  struct OfSurrogate {
    double error = 0, bound = 0;
    static const RecordTable<OfSurrogate>& record();
  };

  int64_t layer = 0, directions = 0;
  double quadratic = 0, linear = 0, constant = 0;  // shares of the mean squares
  double form_r2 = 0;
  std::vector<double> r2, correlation;  // [k + 1]
  Active active;
  std::optional<OfSurrogate> surrogate;

  static const RecordTable<CorpusSummary>& record();
};

/// What a decomposition's eigenpairs contribute on text: corpus.json and corpus.safetensors.
struct CorpusStudy {
  static constexpr RecordFormat kFormat = {"bilens-corpus", 1};

  Json data;  // settings of the text that was read
  int64_t tokens = 0;
  int64_t window = 0;                  // tokens in a row that see each other; the last one may be shorter
  std::vector<double> quantiles;       // of CorpusLayer::quantile_places
  std::vector<std::string> names;      // of all tokens, by id
  std::optional<LossesRecord> losses;  // of truncated layers
  std::vector<CorpusSummary> summaries;
  std::vector<CorpusLayer> layers;
  at::Tensor ids;     // int32 [tokens]
  at::Tensor sample;  // int32 [s], places in ids, ascending

  static const RecordTable<CorpusStudy>& record();
  /// All but those of its layers.
  static const TensorTable<CorpusStudy>& tensors();
};

/// Writes corpus.json and corpus.safetensors.
void write_corpus_study(const std::filesystem::path& directory, const CorpusStudy& study);

/// Nothing where there is no such study. @throws Error(kBadInput) when it is damaged
std::optional<CorpusStudy> read_corpus_study(const std::filesystem::path& directory);

}  // namespace bilens
