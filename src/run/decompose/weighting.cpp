#include "weighting.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cinttypes>

#include "bilens/core/text.h"
#include "bilens/model/model_directory.h"
#include "bilens/study/input_weighting.h"
#include "bilens/tensor/range.h"

namespace bilens {

namespace {

/// What of a decomposed layer tells its inputs.
LayerDecomposition inputs_of(const SourceLayer& source, bool over_inputs) {
  const bool folded = over_inputs && source.embed.defined();
  LayerDecomposition layer;
  layer.layer = source.number;
  layer.input_space = folded ? InputSpace::kInput : InputSpace::kModel;
  layer.d_in = folded ? source.embed.size(1) : source.layer.d_in();
  layer.d_out = source.layer.d_out();
  return layer;
}

/// The tokens of the corpus that give Σ. @throws Error(kBadInput) where the text is too short
TextWindows weighting_part(const Corpus& corpus, const CorpusStudyConfig& study) {
  const int64_t tokens = study.tokens, first = std::max(tokens, study.loss_tokens);
  if (corpus.stream.size() < first + tokens) {
    throw Error(ExitCode::kBadInput, {corpus.data.path,
                                      "a text of " + std::to_string(first + tokens) + " tokens, the last " +
                                          std::to_string(tokens) + " to weight by",
                                      std::to_string(corpus.stream.size()) + " tokens",
                                      "Give a longer text, or lower corpus.tokens."});
  }
  return {corpus.stream, first, tokens, corpus.data.context, corpus.data.packing};
}

/// Documents with tokens in a part of a text.
int64_t count_documents(const TextWindows& part) {
  const auto& starts = part.stream.starts;
  const auto after = std::upper_bound(starts.begin(), starts.end(), part.first);
  const auto end = std::lower_bound(starts.begin(), starts.end(), part.first + part.tokens);
  return 1 + std::max<int64_t>(std::distance(after, end), 0);
}

WeightedInputs describe_part(const TextWindows& part) {
  return {format("tokens %" PRId64 " to %" PRId64, part.first, part.first + part.tokens - 1),
          part.predicted(), count_documents(part)};
}

WeightedFactors& weighted_in(LayerDecomposition& layer) {
  return std::get<WeightedFactors>(layer.factors.value().found);
}

/// With the gains that were folded in.
std::vector<GainedLayer> wanted_layers(const LayerSource& source, const DecomposeRunConfig& config,
                                       const Corpus& corpus) {
  std::vector<GainedLayer> layers;
  for (const auto& layer : source.layers) {
    if (!config.wants_layer(layer.number)) continue;
    layers.push_back({layer.number, source.fold_norm ? mlp_gains(corpus.model, layer.number) : MlpGains{}});
  }
  return layers;
}

/// Whether inputs have one length: behind a norm, unless its gain hides a component.
bool have_one_length(const LayerSource& source, const MlpGains& gains) {
  const bool hidden = gains.before.defined() && gains.before.eq(0).any().item<bool>();
  return !source.over_inputs && !source.raw_stream && !hidden;
}

Weightings weightings_on_text(const LayerSource& source, const DecomposeRunConfig& config,
                              const Corpus& corpus) {
  const auto part = weighting_part(corpus, config.corpus);
  const auto layers = wanted_layers(source, config, corpus);
  auto model = corpus.load(config.device);
  const auto moments = moments_on_text(model, part, layers);
  Weightings weightings;
  for (size_t i = 0; i < layers.size(); ++i) {
    weightings[layers[i].number] = {moments[i], reveal_rank(moments[i], machine_epsilon(at::kFloat)),
                                    have_one_length(source, layers[i].gains)};
  }
  return weightings;
}

Weightings weightings_on_images(const LayerSource& source, const DecomposeRunConfig& config,
                                const StudyImages& images) {
  const auto model = load_classifier(source.model, at::kCPU);
  Weightings weightings;
  for (const auto& layer : source.layers) {
    if (!config.wants_layer(layer.number)) continue;
    const auto moments =
        moments_on_images(model, images.data.train, inputs_of(layer.load(), config.over_inputs));
    weightings[layer.number] = {moments, reveal_rank(moments, machine_epsilon(at::kDouble)), false};
  }
  return weightings;
}

void measure_on_corpus(const LayerSource& source, const DecomposeRunConfig& config, const Corpus& corpus,
                       std::vector<LayerDecomposition>& layers) {
  const auto weighted_by = describe_part(weighting_part(corpus, config.corpus));
  const auto part = corpus.windows(config.corpus.tokens);
  auto model = corpus.load(config.device);
  measure_on_text(model, part, layers, wanted_layers(source, config, corpus));
  for (auto& layer : layers) {
    auto& found = weighted_in(layer);
    found.data = TextDataConfig::fields().dump(corpus.data);
    found.weights = weighted_by;
    found.measured = describe_part(part);
  }
}

void measure_on_test_images(const LayerSource& source, const StudyImages& images,
                            std::vector<LayerDecomposition>& layers) {
  const auto model = load_classifier(source.model, at::kCPU);
  const auto& [train, validation, test, height, width, classes] = images.data;
  const bool same = train.images.sizes() == test.images.sizes() && train.images.equal(test.images);
  for (auto& layer : layers) {
    measure_on_images(model, test, layer);
    auto& found = weighted_in(layer);
    found.data = ImageDataConfig::fields().dump(images.config);
    found.weights.part = "training images";
    found.measured = {same ? "the same images, there being no others" : "test images", test.size(),
                      std::nullopt};
  }
}

}  // namespace

Weightings read_weightings(const LayerSource& source, const DecomposeRunConfig& config,
                           const DecomposeData& data) {
  return data.images ? weightings_on_images(source, config, *data.images)
                     : weightings_on_text(source, config, *data.corpus);
}

void measure_weighted(const LayerSource& source, const DecomposeRunConfig& config, const DecomposeData& data,
                      std::vector<LayerDecomposition>& layers) {
  if (data.images) {
    measure_on_test_images(source, *data.images, layers);
  } else {
    measure_on_corpus(source, config, *data.corpus, layers);
  }
  for (auto& layer : layers) layer.factors->words = weighted_in_words(weighted_in(layer));
}

/// Σ, its square and its root; while its root is found, four more.
int64_t weighting_bytes(int64_t layers, int64_t d) { return 8 * d * d * (3 * layers + 4); }

}  // namespace bilens
