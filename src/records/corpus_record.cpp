#include "bilens/records/corpus_record.h"

#include <ATen/ATen.h>

#include "study_files.h"

namespace bilens {

namespace {

constexpr const char* kCorpusFile = "corpus.json";
constexpr const char* kCorpusTensors = "corpus.safetensors";

}  // namespace

const TensorTable<CorpusLayer>& CorpusLayer::tensors() {
  using R = CorpusLayer;
  constexpr auto kReal = StoredAs::kFloat64;
  static const auto table =
      TensorTable<R>()
          .tensor("output_mean", &R::output_mean, "n", kReal, "mean of u·y over tokens")
          .tensor("output_std", &R::output_std, "n", kReal, "its standard deviation")
          .tensor("contribution_mean", &R::contribution_mean, "n, k", kReal, "mean of λ(v·x)²")
          .tensor("contribution_std", &R::contribution_std, "n, k", kReal, "its standard deviation")
          .tensor("part_mean", &R::part_mean, "n, 3", kReal, "mean of xᵀQx, l·x and c")
          .tensor("part_square", &R::part_square, "n, 3", kReal,
                  "their mean square; a share is a mean square over the sum of the three, of parts that may "
                  "cancel each other")
          .tensor("form_r2", &R::form_r2, "n", kReal,
                  "R² of the whole form for u·y: 1 where it is the layer, less for the bilinear part of a "
                  "gated one, below 0 where the mean alone is nearer")
          .tensor("correlation", &R::correlation, "n, k + 1", kReal,
                  "with u·y, of the first 0 ... k eigenpairs with l·x + c")
          .tensor(
              "r2", &R::r2, "n, k + 1", kReal,
              "R² of the same, nothing refitted: 1 − Σ(u·y − ŷ)²/Σ(u·y − mean)²; NaN for what does not vary")
          .tensor("contexts.places", &R::context_places, "n, k, 2, m", StoredAs::kInt32,
                  "where p = v·x is largest, and where it is most negative, the farthest first; −1 beyond "
                  "those of that sign")
          .tensor("contexts.projections", &R::context_projections, "n, k, 2, m", kReal, "p there; 0 beyond")
          .tensor("quantiles.places", &R::quantile_places, "n, k, q", StoredAs::kInt32,
                  "tokens at `quantiles` of p among `corpus.sample` tokens drawn at random")
          .tensor("quantiles.projections", &R::quantile_projections, "n, k, q", kReal, "p there")
          .tensor("histogram.edges", &R::edges, "n, k, 25", kReal, "edges between which p falls among these")
          .tensor("histogram.counts", &R::counts, "n, k, 24", StoredAs::kInt32, "how often it does")
          .tensor("active.count", &R::active_count, "n", StoredAs::kInt32,
                  "those of them where u·y is more than `output_std` from `output_mean`")
          .tensor("active.r2", &R::active_r2, "n, k + 1", kReal,
                  "over these alone; NaN where they are fewer than two")
          .tensor("active.correlation", &R::active_correlation, "n, k + 1", kReal, "likewise")
          .tensor(
              "surrogate.error", &R::sample_error, "n, s", StoredAs::kFloat32,
              "how far a surrogate's form is from u·y at each token of the sample, of activations in float32")
          .optional()
          .tensor("surrogate.bound", &R::sample_bound, "n, s", StoredAs::kFloat32,
                  "how far it is at most, with eight standard deviations of their rounding")
          .optional();
  return table;
}

const RecordTable<CorpusSummary::Active>& CorpusSummary::Active::record() {
  using R = CorpusSummary::Active;
  static const auto table = RecordTable<R>()
                                .field("share", &R::share, "Active tokens over all of the sample.")
                                .field("r2", &R::r2, "[k + 1], as above, over these alone.")
                                .field("correlation", &R::correlation, "[k + 1], likewise.");
  return table;
}

const RecordTable<CorpusSummary::OfSurrogate>& CorpusSummary::OfSurrogate::record() {
  using R = CorpusSummary::OfSurrogate;
  static const auto table =
      RecordTable<R>()
          .field("error", &R::error, "Median over tokens of how far the form is from u·y.", "`output_std`")
          .field("bound", &R::bound, "Median of what it can be at most.", "`output_std`");
  return table;
}

const RecordTable<CorpusSummary>& CorpusSummary::record() {
  using R = CorpusSummary;
  static const auto table =
      RecordTable<R>()
          .field("layer", &R::layer, "Number of the layer.")
          .natural()
          .field("directions", &R::directions, "How many directions the means are over.")
          .natural()
          .field("quadratic", &R::quadratic, "Share of xᵀQx in the mean squares of the parts.")
          .field("linear", &R::linear, "Share of l·x.")
          .field("constant", &R::constant, "Share of c.")
          .field("form_r2", &R::form_r2, "R² of the whole form.")
          .field("r2", &R::r2, "[k + 1], R² of the first 0 ... k eigenpairs with l·x + c.")
          .field("correlation", &R::correlation, "[k + 1], their correlation with u·y.")
          .field("active", &R::active, "Over tokens where u·y is far from its mean.")
          .field("surrogate", &R::surrogate,
                 "How far a surrogate is from the layer; null of the layer itself.");
  return table;
}

const RecordTable<CorpusStudy>& CorpusStudy::record() {
  using R = CorpusStudy;
  static const auto table =
      RecordTable<R>()
          .field("data", &R::data, "Settings of the text.")
          .field("tokens", &R::tokens, "How many were read.", "tokens")
          .natural()
          .field("window", &R::window, "Tokens in a row that see each other.", "tokens")
          .natural()
          .field("quantiles", &R::quantiles, "Quantiles of p that `quantiles.places` are at.")
          .field("vocabulary", &R::names, "Names of all tokens, by id.")
          .field("losses", &R::losses,
                 "Losses of the model with truncated layers; null without `corpus.loss_tokens`.")
          .field("layers", &R::summaries, "One entry a layer; means over its directions.");
  return table;
}

const TensorTable<CorpusStudy>& CorpusStudy::tensors() {
  using R = CorpusStudy;
  static const auto table =
      TensorTable<R>()
          .tensor("tokens", &R::ids, "tokens", StoredAs::kInt32,
                  "the ids read, in windows of `window` whose tokens see what stands before them; places "
                  "count in this list")
          .tensor("sample", &R::sample, "s", StoredAs::kInt32, "the tokens drawn at random, as places");
  return table;
}

void write_corpus_study(const std::filesystem::path& directory, const CorpusStudy& study) {
  auto tensors = CorpusStudy::tensors().write(study, "", {{"tokens", study.tokens}});
  for (const auto& layer : study.layers) {
    const auto more = CorpusLayer::tensors().write(layer, layer_prefix(layer.layer), {});
    for (const auto& [name, tensor] : more) tensors.emplace_back(name, tensor.contiguous());
  }
  write_safetensors(directory / kCorpusTensors, tensors, format_metadata(CorpusStudy::kFormat));
  write_record_file(directory / kCorpusFile, study);
}

std::optional<CorpusStudy> read_corpus_study(const std::filesystem::path& directory) {
  const auto path = directory / kCorpusFile;
  if (!std::filesystem::exists(path)) return std::nullopt;
  auto study = read_record_file<CorpusStudy>(path);
  const SafetensorsFile file(directory / kCorpusTensors);
  const std::string where = file.path().string() + ": ";
  Dimensions sizes = {{"tokens", study.tokens}};
  CorpusStudy::tensors().read(file, "", study, sizes);
  const auto known = static_cast<int64_t>(study.names.size());
  require_between(study.ids, 0, known, where + "tokens", "ids of the " + std::to_string(known) + " tokens");
  for (const auto& summary : study.summaries) {
    const std::string prefix = layer_prefix(summary.layer);
    CorpusLayer layer;
    layer.layer = summary.layer;
    Dimensions of_layer = {{"q", static_cast<int64_t>(study.quantiles.size())}};
    CorpusLayer::tensors().read(file, prefix, layer, of_layer);
    for (const auto* places : {&layer.context_places, &layer.quantile_places})
      require_between(*places, -1, study.tokens, where + prefix + "places", "places below the tokens");
    study.layers.push_back(std::move(layer));
  }
  return study;
}

}  // namespace bilens
