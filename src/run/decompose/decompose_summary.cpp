#include "decompose_summary.h"

#include <ATen/ATen.h>

#include <cinttypes>

#include "bilens/analysis/factors/method.h"
#include "bilens/core/progress.h"
#include "bilens/core/text.h"
#include "studies.h"
#include "train/conversion.h"

namespace bilens {

namespace {

PairsResult summarize_pairs(const EigenPairs& pairs) {
  PairsResult result;
  result.k = pairs.k();
  result.converged = pairs.converged.sum().item<int64_t>();
  result.worst_residual = pairs.residuals.max().item<double>();
  if (pairs.certified_bound.defined()) result.certified = pairs.count_certified();
  if (pairs.floor.defined()) {
    result.unchanged = pairs.unchanged_directions().numel();
    result.floor = pairs.floor.max().item<double>();
  }
  return result;
}

/// What eigenpairs came to, in words.
std::string pairs_in_words(const PairsResult& pairs, int64_t directions, bool difference) {
  const auto top = format("top %" PRId64 ", ", pairs.k);
  const std::string nothing = difference ? kNoChange : "nothing but rounding";
  const int64_t unchanged = pairs.unchanged.value_or(0);
  if (unchanged > 0 && unchanged == directions)
    return top + nothing + format(" (nothing above %.1e)", *pairs.floor);
  return top + format("%" PRId64 " converged", pairs.converged) +
         (unchanged > 0 ? format(", %s in %" PRId64, nothing.c_str(), unchanged) : "") +
         format(", worst residual %.1e", pairs.worst_residual) +
         (pairs.certified ? format(", %" PRId64 " certified", *pairs.certified) : "");
}

}  // namespace

const RecordTable<CardSide>& CardSide::record() {
  using R = CardSide;
  static const auto table =
      RecordTable<R>()
          .field("tokens", &R::tokens, "The nearest tokens.")
          .field("cosine", &R::cosine, "Cosine of the nearest one.")
          .field("quantile", &R::quantile, "Quantile of that cosine among random directions.");
  return table;
}

const RecordTable<CardResult>& CardResult::record() {
  using R = CardResult;
  static const auto table = RecordTable<R>()
                                .field("direction", &R::direction, "Its name, or its number.")
                                .field("eigenvalue", &R::eigenvalue, "The leading one.")
                                .field("positive", &R::positive, "Tokens on one side of its eigenvector.")
                                .field("negative", &R::negative, "Tokens on the other side.");
  return table;
}

const RecordTable<CorpusResult>& CorpusResult::record() {
  using R = CorpusResult;
  static const auto table = RecordTable<R>()
                                .part(&R::summary)
                                .field("tokens", &R::tokens, "How many were read.", "tokens")
                                .field("losses", &R::losses, "Losses of the model with the layer truncated.")
                                .omitted();
  return table;
}

const RecordTable<PairsResult>& PairsResult::record() {
  using R = PairsResult;
  static const auto table =
      RecordTable<R>()
          .field("k", &R::k, "Eigenpairs of each direction.")
          .field("converged", &R::converged, "Directions whose eigenpairs all converged.")
          .field("worst_residual", &R::worst_residual, "The largest residual.")
          .field("certified", &R::certified, "Directions with a proved bound.")
          .omitted()
          .field("unchanged", &R::unchanged, "Directions that are rounding alone.")
          .omitted()
          .field("floor", &R::floor, "What rounding alone can leave in an eigenvalue, at most.")
          .omitted();
  return table;
}

const RecordTable<LayerResult>& LayerResult::record() {
  using R = LayerResult;
  static const auto table = RecordTable<R>()
                                .field("layer", &R::layer, "Number of the layer.")
                                .field("method", &R::method, "How it was decomposed.")
                                .field("directions", &R::directions, "How many directions there are.")
                                .part(&R::pairs)
                                .field("figures", &R::figures, "What another method found.")
                                .omitted()
                                .field("words", &R::words, "The same in one line.")
                                .omitted()
                                .field("tokens", &R::tokens, "The first directions in tokens.")
                                .omitted()
                                .field("corpus", &R::corpus, "The layer on text.")
                                .omitted();
  return table;
}

const RecordTable<DecompositionResult>& DecompositionResult::record() {
  using R = DecompositionResult;
  static const auto table =
      RecordTable<R>()
          .field("model", &R::model, "Path of the model.")
          .field("surrogate", &R::surrogate, "What the layers are when they are not the model's own.")
          .field("converted", &R::converted, "What the model's `conversion.json` says.")
          .field("minus", &R::minus, "Path of the model that was subtracted.")
          .field("out", &R::out, "Folder of the files.")
          .field("layers", &R::layers, "One entry a layer.")
          .field("seconds", &R::seconds, "What it took.", "s")
          .field("peak_memory_bytes", &R::peak_memory_bytes, "The most that the process held.", "bytes");
  return table;
}

std::vector<LayerResult> summarize_layers(const Decomposition& decomposition) {
  std::vector<LayerResult> results;
  for (const auto& layer : decomposition.layers) {
    LayerResult result;
    result.layer = layer.layer;
    result.method = layer.method();
    result.directions = layer.count();
    if (layer.has_pairs()) result.pairs = summarize_pairs(layer.pairs);
    if (layer.factors) {
      result.figures = layer.factors->figures();
      result.words = layer.factors->words;
    }
    results.push_back(result);
  }
  return results;
}

std::string decomposition_in_words(const DecompositionResult& result) {
  std::string text;
  if (result.converted) text += conversion_in_words(*result.converted) + "\n";
  if (result.surrogate) text += "surrogate: " + result.surrogate->meaning + "\n";
  for (const auto& layer : result.layers) {
    text += format("layer %" PRId64 ": %" PRId64 " directions, ", layer.layer, layer.directions);
    text += layer.words ? layer.method + ", " + *layer.words
                        : pairs_in_words(*layer.pairs, layer.directions, result.minus.has_value());
    text += "\n";
    for (const auto* study : studies()) text += study->words(layer);
  }
  return text + format_duration(result.seconds) + "  " + result.out + "\n";
}

}  // namespace bilens
