#include <ATen/ATen.h>

#include "bilens/core/progress.h"
#include "bilens/core/text.h"
#include "bilens/study/corpus_study.h"
#include "bilens/study/text_truncation.h"
#include "models/vocabulary.h"
#include "number_words.h"
#include "studies.h"

namespace bilens {

namespace {

/// What the eigenpairs of each layer contribute on text.
CorpusStudy study_all_on_text(const StudyInput& input) {
  const auto& [source, decomposition, config, data, out] = input;
  const auto& corpus = *data.corpus;
  auto model = corpus.load(config.device);
  std::vector<CorpusSource> sources;
  for (const auto& layer : decomposition.layers) {
    if (!layer.has_pairs()) continue;
    // In float32, as the model computes: float64 copies of all layers would be twice as large.
    sources.push_back({layer, source.load(layer.layer).layer.to(at::kFloat, at::kCPU),
                       source.fold_norm ? norm_gain(corpus.model, layer.layer) : at::Tensor()});
  }
  auto study = study_corpus(model, corpus.windows(config.corpus.tokens), sources, config.corpus);
  if (config.corpus.loss_tokens > 0)
    study.losses = to_json(truncate_on_text(model, corpus.windows(config.corpus.loss_tokens), sources));
  const auto tokenizer =
      find_tokenizer(corpus.model, corpus.data.tokenizer.empty() ? config.tokenizer : corpus.data.tokenizer);
  for (int64_t id = 0; id < corpus.model.config.vocab_size; ++id)
    study.names.push_back(token_name(tokenizer, id));
  study.data = TextDataConfig::fields().dump(corpus.data);
  write_corpus_study(out, study);
  return study;
}

/// "  loss with the first k eigenpairs in its place: k = 0 +0.1, ..."; "" where that was not measured.
std::string losses_in_words(const Json& summary) {
  if (!summary.contains("losses")) return "";
  const Json& losses = summary.at("losses");
  std::string text = "  loss with the first k eigenpairs in its place:";
  for (size_t i = 0; i < losses.at("k").size(); ++i) {
    text += format("%s k = %lld %+.4f", i == 0 ? "" : ",", losses.at("k")[i].get<long long>(),
                   losses.at("change")[i].at("mean").get<double>());
  }
  return text + "\n";
}

/// "  on 50,000 tokens: ...", where the study has something of the layer.
std::string corpus_in_words(const Json& layer) {
  if (!layer.contains("corpus")) return "";
  const Json& summary = layer.at("corpus");
  const auto tokens = summary.at("tokens").get<int64_t>();
  const auto number = [](const Json& value) { return number_in_words(value, 3); };
  const auto percent = [&](const char* key) {
    const auto share = number_in_words(100 * summary.at(key).get<double>(), 1);
    return share == "undefined" ? share : share + "%";
  };
  return "  on " + format_number(static_cast<double>(tokens)) + " tokens: quadratic " + percent("quadratic") +
         ", linear " + percent("linear") + ", constant " + percent("constant") +
         " of the squares; R² of the form " + number(summary.at("form_r2")) + ", of its eigenpairs here " +
         number(summary.at("r2").back()) + ", correlation " + number(summary.at("correlation").back()) +
         "\n" + losses_in_words(summary);
}

void study_on_text(const StudyInput& input, Json& layers) {
  const auto study = study_all_on_text(input);
  for (auto& layer : layers) {
    for (const auto& of_layer : study.layers) {
      if (layer.at("layer") != of_layer.layer) continue;
      layer["corpus"] = summarize_corpus(of_layer);
      layer["corpus"]["tokens"] = study.tokens;
    }
    for (const auto& losses : study.losses.is_null() ? Json::array() : study.losses.at("layers"))
      if (losses.at("layer") == layer.at("layer")) layer["corpus"]["losses"] = losses;
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
