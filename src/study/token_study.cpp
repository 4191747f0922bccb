#include "bilens/study/token_study.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "bilens/analysis/eigen/factor_error.h"
#include "bilens/analysis/tokens/token_interactions.h"
#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/tensor/random.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace {

constexpr int64_t kProjectionBytes = int64_t{256} << 20;  // of a few directions' vectors on all tokens

int64_t projection_bytes(int64_t k, int64_t vocabulary) { return k * vocabulary * int64_t{sizeof(double)}; }

/// Directions whose projections are held at once.
int64_t chunk_size(int64_t n, int64_t k, int64_t vocabulary) {
  return std::clamp<int64_t>(kProjectionBytes / projection_bytes(k, vocabulary), 1, n);
}

/// How far the terms of one direction's stored eigenpairs, computed in float64 from rows R_t that are known
/// to `row_error`, may be from those of all of Q.
InteractionError error_of(const at::Tensor& eigenvalues, const at::Tensor& eigenvectors, double remainder,
                          double row_error) {
  const double size = (eigenvalues.abs() * eigenvectors.square().sum(1)).sum().item<double>();
  const double g = higham_gamma(static_cast<double>(2 * eigenvectors.size(1) + eigenvectors.size(0) + 8));
  return {(remainder + g * size) * (1 + g), (size + remainder) * (1 + g) * row_error};
}

TokenCards join_cards(const std::vector<TokenCards>& parts) {
  const auto join = [&](const auto& of) {
    std::vector<at::Tensor> tensors;
    for (const auto& part : parts) tensors.push_back(of(part));
    return at::cat(tensors);
  };
  return {{join([](const auto& c) { return c.embedding.ids; }),
           join([](const auto& c) { return c.embedding.cosines; })},
          {join([](const auto& c) { return c.unembedding.ids; }),
           join([](const auto& c) { return c.unembedding.cosines; })},
          join([](const auto& c) { return c.embedding_quantiles; }),
          join([](const auto& c) { return c.unembedding_quantiles; })};
}

/// The four tensors of each basis, by name; "C" is TokenCards, const or not.
template <class C>
auto card_tensors(C& cards) {
  return std::vector<std::pair<std::string, decltype(&cards.embedding_quantiles)>>{
      {"embedding.ids", &cards.embedding.ids},
      {"embedding.cosines", &cards.embedding.cosines},
      {"embedding.quantiles", &cards.embedding_quantiles},
      {"unembedding.ids", &cards.unembedding.ids},
      {"unembedding.cosines", &cards.unembedding.cosines},
      {"unembedding.quantiles", &cards.unembedding_quantiles}};
}

}  // namespace

const FieldTable<TokenStudyConfig>& TokenStudyConfig::fields() {
  using C = TokenStudyConfig;
  static const FieldTable<C> table =
      FieldTable<C>("The analysis \"tokens\" of a language model.")
          .integer("nearest", &C::nearest, "Nearest tokens on each side of an eigenvector.", between(1, 1000),
                   "tokens")
          .integer("interactions", &C::interactions, "Largest interactions of a direction; 0: none.",
                   between(0, 100000), "pairs of tokens")
          .integer("random_directions", &C::random_directions,
                   "Random directions, drawn as the embedding varies, that cosines are held against.",
                   between(1, 100000))
          .integer("seed", &C::seed, "Seed of the random directions and of the permuted units.", at_least(0));
  return table;
}

TokenSpace::TokenSpace(TokenBasis e, TokenBasis u, const TokenStudyConfig& config)
    : embedding(std::move(e)), unembedding(std::move(u)) {
  const auto drawn = random_token_directions(embedding, config.random_directions,
                                             derive_seed(static_cast<uint64_t>(config.seed), "null cards"));
  embedding_null = null_cosines(embedding, drawn, config.nearest);
  unembedding_null = null_cosines(unembedding, drawn, config.nearest);
}

TokenCards TokenSpace::cards(const at::Tensor& vectors, const at::Tensor& projections,
                             int64_t nearest) const {
  TokenCards cards;
  cards.embedding = nearest_tokens(projections, embedding.norms(), nearest);
  cards.unembedding = nearest_tokens(unembedding.project(vectors), unembedding.norms(), nearest);
  cards.embedding_quantiles = null_quantiles(cards.embedding, embedding_null);
  cards.unembedding_quantiles = null_quantiles(cards.unembedding, unembedding_null);
  return cards;
}

TokenLayer study_tokens(const LayerDecomposition& layer, const PermutedPairs& permuted,
                        const at::Tensor& remainders, const TokenSpace& space,
                        const TokenStudyConfig& config) {
  const std::string where = "layer " + std::to_string(layer.layer);
  const int64_t n = layer.pairs.size(), k = layer.pairs.k();
  require_shape(layer.pairs.eigenvectors, {n, k, space.embedding.dimension()}, where + ": eigenvectors");
  const auto cards_of = [&](const at::Tensor& vectors) {
    return space.cards(vectors, space.embedding.project(vectors), config.nearest);
  };
  TokenLayer result;
  result.layer = layer.layer;
  result.random = cards_of(random_token_directions(
      space.embedding, 1,
      derive_seed(static_cast<uint64_t>(config.seed), "random card", static_cast<uint64_t>(layer.layer))));
  for (const auto& [name, tensor] : card_tensors(result.random)) *tensor = tensor->squeeze(0);
  result.permuted_eigenvalues = permuted.eigenvalues;

  std::vector<TokenCards> cards, permuted_cards;
  std::vector<at::Tensor> tokens, values, bounds;
  const int64_t chunk = chunk_size(n, k, space.embedding.size());
  Progress progress("tokens of " + where, n, "directions");
  for (int64_t first = 0; first < n; first += chunk) {
    if (stop_requested()) throw Stopped{};
    const int64_t count = std::min(chunk, n - first);
    const auto vectors = layer.pairs.eigenvectors.narrow(0, first, count).to(at::kDouble).flatten(0, 1);
    const auto projections = space.embedding.project(vectors);
    cards.push_back(space.cards(vectors, projections, config.nearest));
    if (permuted.eigenvectors.defined())
      permuted_cards.push_back(cards_of(permuted.eigenvectors.narrow(0, first, count).to(at::kDouble)));
    for (int64_t u = 0; u < count && config.interactions > 0; ++u) {
      const auto eigenvalues = layer.pairs.eigenvalues[first + u];
      const auto error = error_of(eigenvalues, vectors.narrow(0, u * k, k),
                                  remainders[first + u].item<double>(), space.embedding.rounding());
      const auto found = largest_interactions(projections.narrow(0, u * k, k), eigenvalues,
                                              space.embedding.norms(), error, config.interactions);
      tokens.push_back(found.tokens);
      values.push_back(found.values);
      bounds.push_back(found.bounds);
    }
    progress.advance(count);
  }
  result.eigenvectors = join_cards(cards);
  for (const auto& [name, tensor] : card_tensors(result.eigenvectors)) *tensor = tensor->unflatten(0, {n, k});
  if (!permuted_cards.empty()) result.permuted = join_cards(permuted_cards);
  if (!tokens.empty()) {
    result.interaction_tokens = at::stack(tokens);
    result.interaction_values = at::stack(values);
    result.interaction_bounds = at::stack(bounds);
  }
  return result;
}

int64_t token_study_bytes(int64_t n, int64_t k, int64_t vocabulary) {
  return 3 * chunk_size(n, k, vocabulary) * projection_bytes(k, vocabulary);  // two bases', and cosines
}

void describe_bases(TokenLayer& layer, int64_t layers) {
  const int64_t number = layer.layer;
  layer.embedding_is_own = number == 0;
  layer.unembedding_is_own = number + 1 == layers;
  const std::string input =
      layer.embedding_is_own
          ? "The input is an embedding row plus the first attention's output: the embedding basis is this "
            "layer's own but for that attention. "
          : "The input has passed " + std::to_string(number) + (number == 1 ? " layer" : " layers") +
                ": the embedding basis is not this layer's own. ";
  const std::string output =
      layer.unembedding_is_own
          ? "The output reaches the logits through the last norm alone: the unembedding basis is what this "
            "layer writes to."
          : "Later layers read what it writes: the unembedding basis is not this layer's own.";
  layer.words = input + output;
}

TokenStudy begin_token_study(const TokenSpace& space, const TokenStudyConfig& config,
                             std::vector<std::string> names) {
  TokenStudy study;
  study.nearest = config.nearest;
  study.interactions = config.interactions;
  study.random_directions = config.random_directions;
  study.seed = config.seed;
  study.space =
      "Eigenvectors are over the normed input before the norm's gain (the gain is folded in), which is the "
      "residual stream up to a factor for each position: token rows are in the same space, their mean "
      "taken out, the unembedding's times the last norm's gain.";
  study.names = std::move(names);
  study.embedding_null = space.embedding_null;
  study.unembedding_null = space.unembedding_null;
  return study;
}

}  // namespace bilens
