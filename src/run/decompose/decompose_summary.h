#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bilens/records/corpus_record.h"
#include "bilens/records/decomposition.h"

namespace bilens {

/// One side of a card: the tokens nearest to an eigenvector, and the nearest one's cosine with what it is
/// worth.
struct CardSide {
  std::vector<std::string> tokens;
  double cosine = 0, quantile = 0;
  static const RecordTable<CardSide>& record();
};

/// The leading eigenvector of a direction in tokens.
struct CardResult {
  Json direction;       // its name, or its number
  std::string heading;  // the same in words
  double eigenvalue = 0;
  CardSide positive, negative;
  static const RecordTable<CardResult>& record();
};

/// What a study on text says of a layer.
struct CorpusResult {
  std::optional<CorpusSummary> summary;
  int64_t tokens = 0;
  std::optional<TruncatedLayer> losses;
  static const RecordTable<CorpusResult>& record();
};

/// What the command says of a layer's eigenpairs.
struct PairsResult {
  int64_t k = 0, converged = 0;
  double worst_residual = 0;
  std::optional<int64_t> certified, unchanged;
  std::optional<double> floor;
  static const RecordTable<PairsResult>& record();
};

/// What the command says of a layer. The studies add their parts.
struct LayerResult {
  int64_t layer = 0;
  std::string method;
  int64_t directions = 0;
  std::optional<PairsResult> pairs;
  std::optional<Json> figures;
  std::optional<std::string> words;
  std::optional<std::vector<CardResult>> tokens;
  std::optional<CorpusResult> corpus;
  static const RecordTable<LayerResult>& record();
};

/// What the command says of one model.
struct DecompositionResult {
  std::string model;
  std::optional<SurrogateRecord> surrogate;
  std::optional<ConversionRecord> converted;
  std::optional<std::string> minus;
  std::string out;
  std::vector<LayerResult> layers;
  double seconds = 0;
  int64_t peak_memory_bytes = 0;
  static const RecordTable<DecompositionResult>& record();
};

/// What the command says of each layer, before the studies add their parts.
std::vector<LayerResult> summarize_layers(const Decomposition& decomposition);

/// The result as the command prints it.
std::string decomposition_in_words(const DecompositionResult& result);

}  // namespace bilens
