#include "unused_settings.h"

#include <algorithm>

#include "studies.h"

namespace bilens {

namespace {

bool asks_for_nothing(const Json& value) {
  return value.is_null() || value == Json(false) || (value.is_object() && value.empty());
}

/// Collects what does not count.
class Unused {
 public:
  explicit Unused(const Json& named) : named_(named) {}

  bool names(const std::string& key) const {
    return named_.contains(key) && !asks_for_nothing(named_.at(key));
  }

  void require(const std::string& key, bool counts, const std::string& expected,
               const std::string& fix = "Leave it out.") {
    if (!counts && names(key)) add(key, expected, named_.at(key).dump(), fix);
  }

  /// Adds the keys of an object that count only under a condition, where it does not hold.
  /// @param always keys that count without it
  void require_below(const std::string& key, const std::vector<std::string>& always, bool counts,
                     const std::string& expected, const std::string& fix) {
    if (counts || !names(key) || !named_.at(key).is_object()) return;
    for (const auto& item : named_.at(key).items()) {
      if (std::find(always.begin(), always.end(), item.key()) == always.end())
        add(key_path(key, item.key()), expected, item.value().dump(), fix);
    }
  }

  void add(const std::string& key, const std::string& expected, const std::string& found,
           const std::string& fix) {
    problems_.push_back({key, expected, found, fix});
  }

  void refuse() const {
    if (!problems_.empty()) throw Error(ExitCode::kUsage, problems_);
  }

 private:
  const Json& named_;
  std::vector<Problem> problems_;
};

/// What a method does not look at.
void require_of_method(const SettingsInUse& settings, Unused& unused) {
  const auto& method = *settings.config.method;
  const std::string none = "none with method \"" + method.name + "\"";
  for (const auto& other : methods()) {
    unused.require(other.name, other.name == method.name, none,
                   "Set method to \"" + other.name + "\", or leave it out.");
  }
  for (const char* key : {"solver", "tolerance", "probe", "effective_rank"})
    unused.require(key, method.finds_pairs, none, "It is of eigenpairs. Leave it out.");
  const bool shared = settings.config.directions.kind == DirectionKind::kUnembedding;  // with their mean
  unused.require("energy", method.finds_pairs || shared, none, "It is of eigenpairs. Leave it out.");
  for (const auto& key : method.unused) unused.require(key, false, none, "Leave it out.");
}

bool has_head(const SettingsInUse& settings) {
  const auto& layers = settings.source.layers;
  const auto& directions = settings.config.directions;
  return std::any_of(layers.begin(), layers.end(), [&](const auto& layer) {
    const bool is_read =
        settings.config.wants_layer(layer.number) ||
        (directions.kind == DirectionKind::kEigenvectors && directions.layer == layer.number);
    return is_read && layer.load().head.defined();
  });
}

/// What is centred: logits.
bool are_centred(const SettingsInUse& settings) {
  using Kind = DirectionKind;
  const auto kind = settings.config.directions.kind;
  if (kind == Kind::kTokens || kind == Kind::kUnembedding) return true;
  return (kind == Kind::kOutputs || kind == Kind::kHosvd || kind == Kind::kEigenvectors) &&
         has_head(settings);
}

/// What the model does not have.
void require_of_model(const SettingsInUse& settings, Unused& unused) {
  const auto& source = settings.source;
  if (unused.names("center"))
    unused.require("center", are_centred(settings), "none where the directions are no logits");
  unused.require("input_space", source.over_inputs, "none where no embedding is in front of the layers");
  unused.require("fold_norm", source.fold_norm || source.norm.has_value(), "false where no norm is known",
                 "Name the norm in weights, or leave it out.");
}

/// What studies and surrogates read.
void require_of_studies(const SettingsInUse& settings, Unused& unused) {
  const auto& [named, source, config, data, data_spec, names_pieces] = settings;
  const bool fits =
      config.surrogate == SurrogateKind::kCalibrated;  // of a bilinear model a warning says more
  const bool weighs_text = config.is_weighted() && !source.classifier;
  const bool reads_text = config.wants(Analysis::kCorpus) || fits || weighs_text;
  if (is_wanted(image_study(), config.analyses)) {
    unused.require("analyses", data.images.has_value() && !config.is_weighted(),
                   "studies of images only for an image classifier, with data, without minus and weighting",
                   "A language model has \"tokens\" and \"corpus\".");
  }
  const bool is_language_model = !source.classifier && (source.model.is_directory() || source.norm);
  const bool has_cards = config.method->finds_pairs && is_language_model;
  const std::string studied = "none without the analysis ";
  unused.require_below("tokens",
                       has_cards ? std::vector<std::string>{"nearest", "random_directions", "seed"}
                                 : std::vector<std::string>(),
                       config.wants(Analysis::kTokens), studied + "\"tokens\"",
                       "Name it in analyses, or leave this out.");
  unused.require_below(
      "corpus",
      fits || weighs_text ? std::vector<std::string>{"tokens", "loss_tokens"} : std::vector<std::string>(),
      config.wants(Analysis::kCorpus), studied + "\"corpus\"", "Name it in analyses, or leave this out.");
  const bool reads = data.images || reads_text;
  const std::string reader = "none without a study, a weighting or a calibrated surrogate that reads it";
  const std::string name_one = "Name a study in analyses, or leave it out.";
  unused.require("data", reads, reader, name_one);
  if (!reads && !data_spec.empty()) unused.add("data", reader, "\"" + data_spec + "\"", name_one);
  const bool tokenizes =
      data.corpus && (config.wants(Analysis::kCorpus) || data.corpus->data.dataset == TextSet::kText);
  const std::string names_tokens = "none where no tokens are named";
  unused.require("tokenizer", source.vocabulary || tokenizes || ((fits || weighs_text) && !data.corpus),
                 names_tokens);
  if (names_pieces && !source.vocabulary && !config.wants(Analysis::kCorpus))
    unused.add("tokenizer", names_tokens, "one of transformers", "Leave it out.");
}

}  // namespace

void require_used(const SettingsInUse& settings) {
  Unused unused(settings.named);
  require_of_method(settings, unused);
  require_of_model(settings, unused);
  require_of_studies(settings, unused);
  unused.refuse();
}

}  // namespace bilens
