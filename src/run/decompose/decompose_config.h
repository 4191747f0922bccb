#pragma once

#include "bilens/analysis/factors/method.h"
#include "bilens/study/corpus_study.h"
#include "bilens/study/token_study.h"
#include "bilens/tensor/device.h"
#include "directions_config.h"
#include "layers/layer_source.h"
#include "models/given_data.h"

namespace bilens {

/// Studies of a model with its decomposition: the first three on images, "tokens" and "corpus" of language
/// models.
enum class Analysis { kTruncation, kExactness, kImportance, kTokens, kCorpus };

/// What the directions of a form's inputs count for: all alike, or as they vary in data.
enum class Weighting { kNone, kData };

/// Which form of a layer is decomposed.
struct FormChoice {
  bool over_inputs = true;  // of the embedding in front, where there is one
  bool traceless = false;   // without the form's trace
};

/// The whole config of `bilens decompose`.
struct DecomposeRunConfig : MethodOptions {
  int64_t format_version = 1;
  std::optional<std::vector<int64_t>> layers;  // nothing: all
  DirectionsConfig directions;
  const Method* method = &method_named(kEigen);
  EigenSolver solver = EigenSolver::kAuto;
  std::optional<int64_t> k = 10;  // nothing: all
  bool over_inputs = true;
  bool fold_norm = true;
  bool traceless = false;
  Weighting weighting = Weighting::kNone;
  at::ScalarType dtype = at::kFloat;
  std::optional<double> tolerance;
  bool centred = true;
  bool probe = true;
  bool certify = false;
  Energy energy = Energy::kAuto;
  bool estimate_rank = false;
  std::optional<int64_t> memory_limit;  // bytes; nothing: by what is free
  WeightMap weights;
  std::optional<Gate> gate;                // nothing: what the model says
  std::optional<SurrogateKind> surrogate;  // nothing: none
  std::string tokenizer;
  GivenData data;
  std::vector<Analysis> analyses = {Analysis::kTruncation, Analysis::kExactness, Analysis::kImportance};
  TokenStudyConfig tokens;  // of the analyses of these names
  CorpusStudyConfig corpus;
  DeviceChoice device;
  int64_t threads = 0;

  DecomposeRunConfig();  // out of line: g++ 12 warns of the vector inside where it is inlined

  static const FieldTable<DecomposeRunConfig>& fields();

  /// Contradictions that the table cannot see, such as keys that a kind of directions does not have.
  void check(std::vector<Problem>& problems) const;
  /// Those of `weighting` with other keys.
  void check_weighting(std::vector<Problem>& problems) const;

  /// How layers are to be read.
  LayerSourceConfig source() const { return {weights, gate, fold_norm, surrogate}; }
  FormChoice form() const { return {over_inputs, traceless}; }
  bool wants_layer(int64_t number) const;
  /// @throws Error(kUsage) for layers that the model does not have, and one that `traceless` would change
  void check_model(const LayerSource& source) const;
  bool wants(Analysis analysis) const;
  bool is_weighted() const { return weighting == Weighting::kData; }
  /// Whether directions or analyses speak of tokens.
  bool needs_vocabulary() const;
  /// What the eigen-solvers take of this, for vectors of a dimension. "auto" memory is a quarter of what is
  /// free.
  EigenConfig eigen(int64_t dimension) const;
};

/// The layers of a model as a config reads them, and its vocabulary where the config needs one.
LayerSource load_layers(const StoredModel& model, const DecomposeRunConfig& config);

}  // namespace bilens
