#include <ATen/ATen.h>

#include <algorithm>

#include "bilens/analysis/eigen/certificate.h"
#include "bilens/analysis/forms/difference.h"
#include "bilens/core/text.h"
#include "bilens/study/token_study.h"
#include "bilens/tensor/device.h"
#include "bilens/tensor/product_rate.h"
#include "bilens/tensor/random.h"
#include "decomposer.h"
#include "studies.h"

namespace bilens {

namespace {

constexpr int64_t kCardsInSummary = 3;

/// A layer whose gate and up units are paired at random; of a difference both layers are, alike.
BilinearLayer pair_at_random(const BilinearLayer& layer, uint64_t seed) {
  if (layer.parts.size() == 2)
    return subtract(pair_at_random(layer.parts[0], seed), pair_at_random(layer.parts[1], seed));
  return permute_up(layer, at::randperm(layer.d_hidden(), make_generator(at::kCPU, seed), at::kLong));
}

/// The leading eigenpairs of a layer whose gate and up units are paired at random, for the same directions
/// and of the same kind: with `traceless`, its trace is taken out too.
PermutedPairs permuted_pairs(const SourceLayer& source, const Directions& directions,
                             const DecomposeRunConfig& config) {
  const auto seed = derive_seed(static_cast<uint64_t>(config.tokens.seed), "permuted units",
                                static_cast<uint64_t>(source.number));
  EigenConfig eigen = config.eigen(source.layer.d_in());
  eigen.k = 1;
  eigen.certify = eigen.estimate_rank = false;
  eigen.energy = Energy::kOff;
  SourceLayer permuted = source;
  permuted.layer = pair_at_random(source.layer, seed);
  const auto pairs =
      solve_eigen(eigen_problem(permuted, directions, config.form()), choose_device(config.device), eigen);
  return {pairs.eigenvalues.select(1, 0), pairs.eigenvectors.select(1, 0)};
}

/// Bounds on what the eigenpairs in the file leave of each direction's form; none are asked for without
/// interactions.
at::Tensor remainders(const SourceLayer& source, const LayerDecomposition& layer,
                      const Directions& directions, const DecomposeRunConfig& config) {
  if (config.tokens.interactions == 0) return {};
  return remainder_bounds(eigen_problem(source, directions, config.form()), layer.pairs,
                          choose_device(config.device));
}

/// One side of a leading eigenvector's card by embedding rows.
CardSide summarize_side(const TokenStudy& study, const TokenCards& cards, int64_t direction, int64_t side) {
  CardSide result;
  for (const auto& id : cards.embedding.ids[direction][0][side].unbind(0))
    result.tokens.push_back(study.names[static_cast<size_t>(id.item<int>())]);
  result.cosine = cards.embedding.cosines[direction][0][side][0].item<double>();
  result.quantile = cards.embedding_quantiles[direction][0][side][0].item<double>();
  return result;
}

/// Cards of the eigenvectors, the same for a layer whose gate and up units are paired at random,
/// interactions.
TokenStudy study_all_layers(const StudyInput& input) {
  const auto& [source, decomposition, config, data, pieces, out] = input;
  const auto& vocabulary = *source.vocabulary;
  const TokenSpace space(vocabulary.embedding, vocabulary.unembedding, config.tokens);
  auto study = begin_token_study(space, config.tokens, vocabulary.names());
  for (const auto& layer : decomposition.layers) {
    if (!layer.has_pairs()) continue;
    const auto of_model = source.load(layer.layer);
    Directions directions;
    if (layer.directions.defined()) directions.u = layer.directions.to(at::kDouble);
    study.layers.push_back(study_tokens(layer, permuted_pairs(of_model, directions, config),
                                        remainders(of_model, layer, directions, config), space,
                                        config.tokens));
    describe_bases(study.layers.back(), source.decoder.value().config.num_hidden_layers);
  }
  write_token_study(out, study);
  return study;
}

/// Nearest tokens of the leading eigenvectors of a layer's first few directions.
std::vector<CardResult> summarize_tokens(const TokenStudy& study, const TokenLayer& tokens,
                                         const LayerDecomposition& layer) {
  std::vector<CardResult> cards;
  for (int64_t u = 0; u < std::min(layer.count(), kCardsInSummary); ++u) {
    const bool named = !layer.direction_names.empty();
    CardResult card;
    card.direction = named ? Json(layer.direction_names[static_cast<size_t>(u)]) : Json(u);
    card.heading = named ? layer.direction_names[static_cast<size_t>(u)] : "direction " + std::to_string(u);
    card.eigenvalue = layer.pairs.eigenvalues[u][0].item<double>();
    card.positive = summarize_side(study, tokens.eigenvectors, u, 0);
    card.negative = summarize_side(study, tokens.eigenvectors, u, 1);
    cards.push_back(card);
  }
  return cards;
}

/// "  ▁he − ▁she: eigenvalue 0.31: ▁boy ▁him (0.52, quantile 1.000) | ▁girl ..."
std::string card_in_words(const CardResult& card) {
  const auto side = [](const CardSide& of) {
    return join({of.tokens.begin(), of.tokens.begin() + std::min<long>(5, of.tokens.size())}, " ") +
           format(" (%.2f, quantile %.3f)", of.cosine, of.quantile);
  };
  return "  " + card.heading + format(": eigenvalue %.3g: ", card.eigenvalue) + side(card.positive) + " | " +
         side(card.negative) + "\n";
}

void study_tokens_of(const StudyInput& input, std::vector<LayerResult>& layers) {
  const auto study = study_all_layers(input);
  for (size_t i = 0; i < layers.size(); ++i) {
    const auto& layer = input.decomposition.layers[i];
    for (const auto& tokens : study.layers)
      if (tokens.layer == layer.layer) layers[i].tokens = summarize_tokens(study, tokens, layer);
  }
}

std::string tokens_in_words(const LayerResult& layer) {
  std::string text;
  if (layer.tokens)
    for (const auto& card : *layer.tokens) text += card_in_words(card);
  return text;
}

StudyCost cost_of_tokens(const EigenSizes& sizes, const LayerSource& source, const DecomposeRunConfig& config,
                         const DecomposeData&) {
  const int64_t bytes = std::max(token_study_bytes(sizes.n, sizes.k, source.vocabulary->size()),
                                 certifier_bytes(sizes.h, sizes.d));
  if (config.tokens.interactions == 0) return {bytes, 0, 0};
  // The bounds on interactions take the time: Q is formed, and what is left of it is solved for its
  // eigenvalues.
  const auto h = static_cast<double>(sizes.h), d = static_cast<double>(sizes.d);
  const double operations = static_cast<double>(sizes.n) * (2 * h * d * d + 4 * d * d * d);
  return {bytes, 0, operations / measure_product_rate(choose_device(config.device), at::kDouble)};
}

}  // namespace

const StudyRow& token_study() {
  static const StudyRow row = {
      {{"tokens", Analysis::kTokens}}, study_tokens_of, tokens_in_words, cost_of_tokens};
  return row;
}

}  // namespace bilens
