#include "bilens/run/corpus_analysis.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bilens/core/progress.h"
#include "bilens/core/text.h"
#include "bilens/run/data_spec.h"
#include "bilens/run/vocabulary.h"
#include "bilens/tensor/device.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

TextDataConfig choose_text(const LanguageModel& model, const DecomposeRunConfig& config,
                           const std::string& data_spec) {
  std::optional<TextDataConfig> data;
  if (data_spec.empty() && config.data.is_object()) {
    data = TextDataConfig::fields().parse_or_throw(config.data, "data", ExitCode::kUsage);
  } else {
    data = text_of_model(data_spec, model.path);
    if (data && data_spec.empty() && data->split == TextSplit::kAll) data->split = TextSplit::kValidation;
  }
  if (!data) {
    throw Error(ExitCode::kUsage, {model.path.string(), "a text for the analysis \"corpus\"",
                                   "no --data, no \"data\", and no run beside the model",
                                   "Give --data, for example --data text:stories.txt.gz."});
  }
  data->context = std::min(data->context, model.config.max_position_embeddings);
  return *data;
}

/// The gain that load_layers folded into a layer.
at::Tensor folded_gain(const LanguageModel& model, int64_t layer) {
  return model.weights.tensor("model.layers." + std::to_string(layer) + ".post_attention_layernorm.weight");
}

}  // namespace

Corpus open_corpus(const fs::path& path, const DecomposeRunConfig& config, const std::string& data_spec) {
  const auto model = open_language_model(path);
  const auto data = choose_text(model, config, data_spec);
  return {model, data, load_stream(data, model, config.tokenizer)};
}

CorpusStudy analyse_corpus(const LayerSource& source, const Decomposition& decomposition,
                           const DecomposeRunConfig& config, const Corpus& corpus, const fs::path& out) {
  LlamaLoadOptions load;
  load.device = choose_device(config.device);
  load.dtype = at::kFloat;
  auto model = corpus.model.load(load);
  model.require_gradients(false);
  std::vector<CorpusSource> sources;
  for (const auto& layer : decomposition.layers) {
    if (!layer.has_pairs()) continue;
    const auto& of_model = *std::find_if(source.layers.begin(), source.layers.end(),
                                         [&](const auto& l) { return l.number == layer.layer; });
    sources.push_back(
        {layer, of_model.layer, config.fold_norm ? folded_gain(corpus.model, layer.layer) : at::Tensor()});
  }
  auto study =
      study_corpus(model, corpus.stream, corpus.data.context, corpus.data.packing, sources, config.corpus);
  const auto tokenizer =
      find_tokenizer(corpus.model, config.tokenizer.empty() ? corpus.data.tokenizer : config.tokenizer);
  for (int64_t id = 0; id < corpus.model.config.vocab_size; ++id)
    study.names.push_back(token_name(tokenizer, id));
  study.data = TextDataConfig::fields().dump(corpus.data);
  write_corpus_study(out, study);
  return study;
}

std::string corpus_in_words(int64_t tokens, const Json& summary) {
  const auto percent = [&](const char* key) { return 100 * summary.at(key).get<double>(); };
  const auto number = [](const Json& value) {
    return value.is_null() ? "undefined" : format("%.3f", value.get<double>());
  };
  return format("  on %s tokens: quadratic %.1f%%, linear %.1f%%, constant %.1f%% of the squares; ",
                format_number(static_cast<double>(tokens)).c_str(), percent("quadratic"), percent("linear"),
                percent("constant")) +
         "R² of the form " + number(summary.at("form_r2")) + ", of its eigenpairs here " +
         number(summary.at("r2").back()) + ", correlation " + number(summary.at("correlation").back()) + "\n";
}

}  // namespace bilens
