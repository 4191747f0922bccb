#include "decompose_data.h"

#include <algorithm>

#include "models/data_spec.h"

namespace bilens {

std::optional<ImageDataConfig> find_images(const LayerSource& source, const DecomposeRunConfig& config,
                                           const std::string& data_spec) {
  if (!source.classifier || config.analyses.empty()) return std::nullopt;
  const auto given = given_images(config.data);
  return given ? given : data_of_model(data_spec, source.model);
}

bool is_calibrated(const DecomposeRunConfig& config, const LayerSource& source) {
  return config.surrogate == Surrogate::kCalibrated && !source.surrogate.is_null();
}

std::optional<Corpus> find_corpus(const LayerSource& source, const DecomposeRunConfig& config,
                                  const std::string& data_spec) {
  if (!config.wants(Analysis::kCorpus) && !is_calibrated(config, source)) return std::nullopt;
  const auto& wanted = config.corpus;
  return open_corpus(
      source.model, given_text(config.data), config.tokenizer, data_spec,
      "the analysis \"corpus\" or a calibrated surrogate", TextSplit::kValidation,
      std::max(wanted.tokens, wanted.loss_tokens) + wanted.tokens);  // the surrogate's are the last
}

}  // namespace bilens
