#include "decompose_data.h"

#include <algorithm>

#include "models/data_spec.h"
#include "studies.h"

namespace bilens {

namespace {

std::optional<StudyImages> open_images(const LayerSource& source, const DecomposeRunConfig& config,
                                       const std::string& data_spec) {
  const bool wanted = is_wanted(image_study(), config.analyses) || config.is_weighted();
  if (!source.classifier || !wanted || !source.minus_sha256.empty()) return std::nullopt;
  const auto given = data_spec.empty() ? given_images(config.data) : std::nullopt;
  const auto data = given ? given : data_of_model(data_spec, source.model);
  if (!data && config.is_weighted()) {
    throw Error(ExitCode::kUsage, {source.model.path().string(), "images that weight its spectra",
                                   "no --data, no \"data\", and no run beside the model",
                                   "Give --data, for example --data mnist-5k."});
  }
  if (!data) return std::nullopt;
  return StudyImages{
      set_name(data->dataset), *data,
      load_images_for(*source.classifier, source.model.path(), *data, seed_of_model(source.model))};
}

}  // namespace

bool is_calibrated(std::optional<SurrogateKind> asked, const LayerSource& source) {
  return asked == SurrogateKind::kCalibrated && source.surrogate.has_value();
}

DecomposeData open_data(const LayerSource& source, const DecomposeRunConfig& config,
                        const std::string& data_spec) {
  DecomposeData data;
  data.images = open_images(source, config, data_spec);
  const bool weighs_text = config.is_weighted() && !source.classifier;
  if (!config.wants(Analysis::kCorpus) && !is_calibrated(config.surrogate, source) && !weighs_text)
    return data;
  const auto& wanted = config.corpus;
  data.corpus = open_corpus(
      source.decoder ? *source.decoder : open_language_model(source.model),
      data_spec.empty() ? given_text(config.data) : std::nullopt, config.tokenizer, data_spec,
      weighs_text ? "weighting by data" : "the analysis \"corpus\" or a calibrated surrogate",
      TextSplit::kValidation,
      std::max(wanted.tokens, wanted.loss_tokens) + wanted.tokens);  // those that weight and fit are the last
  return data;
}

}  // namespace bilens
