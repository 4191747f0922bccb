#include <ATen/ATen.h>

#include <cinttypes>
#include <cmath>

#include "bilens/core/progress.h"
#include "bilens/core/text.h"
#include "bilens/study/corpus_study.h"
#include "bilens/study/text_truncation.h"
#include "models/vocabulary.h"
#include "number_words.h"
#include "studies.h"

namespace bilens {

namespace {

/// By the pieces that were given, else by a tokenizer.
std::vector<std::string> names_of_tokens(const StudyInput& input) {
  const auto& corpus = *input.data.corpus;
  std::optional<Tokenizer> tokenizer;
  if (input.pieces.empty()) {
    const auto& own = corpus.data.tokenizer;
    tokenizer = find_tokenizer(corpus.model, own.empty() ? input.config.tokenizer : own);
  }
  auto names = input.pieces;
  for (auto id = static_cast<int64_t>(names.size()); id < corpus.model.config.vocab_size; ++id)
    names.push_back(token_name(tokenizer, id));
  return names;
}

/// What the eigenpairs of each layer contribute on text.
CorpusStudy study_all_on_text(const StudyInput& input) {
  const auto& [source, decomposition, config, data, pieces, out] = input;
  const auto& corpus = *data.corpus;
  auto model = corpus.load(config.device);
  std::vector<CorpusSource> sources;
  for (const auto& layer : decomposition.layers) {
    if (!layer.has_pairs()) continue;
    const auto loaded = source.load(layer.layer);
    // In float32, as the model computes: float64 copies of all layers would be twice as large.
    sources.push_back({layer, loaded.layer.to(at::kFloat, at::kCPU),
                       source.fold_norm ? mlp_gains(corpus.model, layer.layer) : MlpGains{},
                       loaded.unit_constants});
  }
  auto study = study_corpus(model, corpus.windows(config.corpus.tokens), sources, config.corpus);
  if (config.corpus.loss_tokens > 0)
    study.losses = truncate_on_text(model, corpus.windows(config.corpus.loss_tokens), sources);
  study.names = names_of_tokens(input);
  study.data = TextDataConfig::fields().dump(corpus.data);
  write_corpus_study(out, study);
  return study;
}

/// "  loss with the first k eigenpairs in its place: k = 0 +0.1, ..."; "" where that was not measured.
std::string losses_in_words(const CorpusResult& result) {
  if (!result.losses) return "";
  std::string text = "  loss with the first k eigenpairs in its place:";
  for (size_t i = 0; i < result.losses->k.size(); ++i)
    text += format("%s k = %" PRId64 " %+.4f", i == 0 ? "" : ",", result.losses->k[i],
                   result.losses->change[i].mean);
  return text + "\n";
}

/// "  on 50,000 tokens: ...", where the study has something of the layer.
std::string corpus_in_words(const LayerResult& layer) {
  if (!layer.corpus) return "";
  const auto& summary = *layer.corpus->summary;
  const auto number = [](double value) { return number_in_words(value, 3); };
  const auto percent = [&](double share) {
    return number_in_words(100 * share, 1) + (std::isfinite(share) ? "%" : "");
  };
  return "  on " + format_number(static_cast<double>(layer.corpus->tokens)) + " tokens: quadratic " +
         percent(summary.quadratic) + ", linear " + percent(summary.linear) + ", constant " +
         percent(summary.constant) + " of the squares; R² of the form " + number(summary.form_r2) +
         ", of its eigenpairs here " + number(summary.r2.back()) + ", correlation " +
         number(summary.correlation.back()) + "\n" + losses_in_words(*layer.corpus);
}

void study_on_text(const StudyInput& input, std::vector<LayerResult>& layers) {
  const auto study = study_all_on_text(input);
  for (auto& layer : layers) {
    for (const auto& summary : study.summaries)
      if (layer.layer == summary.layer) layer.corpus = CorpusResult{summary, study.tokens, std::nullopt};
    if (!study.losses) continue;
    for (const auto& losses : study.losses->layers)
      if (losses.layer == layer.layer && layer.corpus) layer.corpus->losses = losses;
  }
}

StudyCost cost_on_text(const EigenSizes& sizes, const LayerSource&, const DecomposeRunConfig& config,
                       const DecomposeData&) {
  return {0, corpus_layer_bytes(sizes.n, sizes.k, config.corpus), 0};
}

}  // namespace

const StudyRow& corpus_study() {
  static const StudyRow row = {{{"corpus", Analysis::kCorpus}}, study_on_text, corpus_in_words, cost_on_text};
  return row;
}

}  // namespace bilens
