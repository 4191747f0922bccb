#include "bilens/run/token_cards_run.h"

#include <algorithm>

#include "decompose_config.h"
#include "models/model_arguments.h"

namespace bilens {

namespace {

/// The decomposition's own settings, as they would be for the study.
/// @throws Error(kUsage) for those that the study does not go with
TokenStudyConfig cards_config(const DecompositionRecord& info, std::optional<int64_t> nearest) {
  auto config = DecomposeRunConfig::fields().parse_or_throw(info.config, "decomposition.json: config",
                                                            ExitCode::kBadInput);
  config.analyses = {Analysis::kTokens};
  std::vector<Problem> problems;
  config.check(problems);
  if (!problems.empty()) throw Error(ExitCode::kUsage, problems);
  config.tokens.interactions = 0;
  if (!nearest) return config.tokens;
  auto changed = TokenStudyConfig::fields().dump(config.tokens);
  changed["nearest"] = *nearest;
  return TokenStudyConfig::fields().parse_or_throw(changed, "", ExitCode::kUsage);
}

void require_decomposed(const StoredModel& model, const DecompositionRecord& info) {
  if (model.weights().sha256() == info.model_sha256) return;
  throw Error(ExitCode::kBadInput,
              {"model", "the weights that were decomposed, " + info.model, "others: " + model.path().string(),
               "Give that model as it was, or decompose this one."});
}

}  // namespace

TokenStudy find_token_cards(const Decomposition& decomposition, const TokenCardsOptions& options) {
  const auto& info = decomposition.info;
  const bool any = std::any_of(decomposition.layers.begin(), decomposition.layers.end(),
                               [](const auto& layer) { return layer.has_pairs(); });
  if (!any) {
    throw Error(ExitCode::kUsage, {"decomposition", "eigenvectors, of the method \"eigen\"", "other factors",
                                   "Cards are of eigenvectors."});
  }
  const auto config = cards_config(info, options.nearest);
  const auto model =
      options.model.in_memory() ? options.model : StoredModel(find_model(options.model.path().string()));
  const auto language = open_language_model(model);
  require_decomposed(model, info);
  auto vocabulary = read_vocabulary(language, find_tokenizer(language, options.tokenizer), true);
  vocabulary.name_by(options.pieces);
  const TokenSpace space(vocabulary.embedding, vocabulary.unembedding, config);
  auto study = begin_token_study(space, config, vocabulary.names());
  for (const auto& layer : decomposition.layers) {
    if (!layer.has_pairs()) continue;
    study.layers.push_back(study_tokens(layer, {}, {}, space, config));
    describe_bases(study.layers.back(), language.config.num_hidden_layers);
  }
  return study;
}

}  // namespace bilens
