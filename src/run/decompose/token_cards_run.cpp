#include "bilens/run/token_cards_run.h"

#include <ATen/ATen.h>

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
  config.tokens.nearest = *nearest;
  const auto& fields = TokenStudyConfig::fields();
  return fields.parse_or_throw(fields.dump(config.tokens), "", ExitCode::kUsage);
}

/// The model that was decomposed, where its path still holds it.
std::optional<LanguageModel> find_original(const DecompositionRecord& info) {
  try {
    if (!std::filesystem::exists(info.model)) return std::nullopt;
    const auto model = open_language_model(StoredModel(info.model));
    if (model.stored.weights().sha256() == info.model_sha256) return model;
  } catch (const Error&) {  // nothing to compare with
  }
  return std::nullopt;
}

/// The tensors that cards follow from: embedding, head, and the MLPs with their norms of the layers that were
/// decomposed.
std::vector<std::string> tensors_of_cards(const DecoderConfig& config, const Decomposition& decomposition) {
  const auto norms = config.norm_names();
  std::vector<std::string> names;
  for (const auto& [name, shape] : config.stored_shapes()) {
    bool counts = !name.starts_with("model.layers.");
    for (const auto& layer : decomposition.layers) {
      const auto block = "model.layers." + std::to_string(layer.layer) + ".";
      if (!name.starts_with(block)) continue;
      const auto inside = name.substr(block.size(), name.rfind('.') - block.size());
      counts = inside.starts_with("mlp.") || inside == norms.before_mlp || inside == norms.behind_mlp;
    }
    if (counts) names.push_back(name);
  }
  return names;
}

/// Whether two models have the same numbers in all tensors that cards follow from, in whatever files and
/// dtypes.
bool same_for_cards(const LanguageModel& a, const LanguageModel& b, const Decomposition& decomposition) {
  if (a.config.type != b.config.type || a.config.stored_shapes() != b.config.stored_shapes()) return false;
  const auto names = tensors_of_cards(a.config, decomposition);
  return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    const auto left = a.weights().tensor(name), right = b.weights().tensor(name);
    const auto dtype = common_dtype({left.scalar_type(), right.scalar_type()});
    return at::equal(left.to(dtype), right.to(dtype));
  });
}

void require_decomposed(const LanguageModel& model, const Decomposition& decomposition) {
  const auto& info = decomposition.info;
  if (model.stored.weights().sha256() == info.model_sha256) return;
  const auto original = find_original(info);
  if (original && same_for_cards(model, *original, decomposition)) return;
  throw Error(
      ExitCode::kBadInput,
      {"model", "the weights that were decomposed, " + info.model, "others: " + model.path().string(),
       original ? "Give that model as it was, or decompose this one."
                : "Give that model as it was, by its path if it was decomposed by its path, or decompose "
                  "this one."});
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
  require_decomposed(language, decomposition);
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
