#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bilens/analysis/results/layer_decomposition.h"
#include "bilens/analysis/tokens/token_cards.h"
#include "bilens/core/fields.h"

namespace bilens {

struct TokenStudyConfig {
  int64_t nearest = 8;              // tokens on each side of a card
  int64_t interactions = 20;        // of each direction; 0: none
  int64_t random_directions = 500;  // that cosines are held against
  int64_t seed = 0;

  static const FieldTable<TokenStudyConfig>& fields();
};

/// The nearest tokens by embedding and by unembedding rows, with what their cosines are worth.
struct TokenCards {
  NearestTokens embedding, unembedding;                   // [..., 2, m]
  at::Tensor embedding_quantiles, unembedding_quantiles;  // [..., 2, m] float64, see null_quantiles
};

/// The tokens of a model as vectors, and how near they come to random directions drawn as the embedding
/// varies.
struct TokenSpace {
  TokenBasis embedding, unembedding;
  at::Tensor embedding_null, unembedding_null;  // see null_cosines

  TokenSpace(TokenBasis e, TokenBasis u, const TokenStudyConfig& config);

  /// @param vectors unit rows, float64 [c, d]; `projections` are theirs on the embedding, [c, V]
  /// @return cards [c, 2, m]
  TokenCards cards(const at::Tensor& vectors, const at::Tensor& projections, int64_t nearest) const;
};

/// What one layer's eigenvectors say in tokens; n directions, k eigenvectors each.
struct TokenLayer {
  int64_t layer = 0;
  TokenCards eigenvectors;          // [n, k, 2, m]
  TokenCards random, permuted;      // the controls: [2, m], [n, 2, m]
  at::Tensor permuted_eigenvalues;  // [n]
  at::Tensor interaction_tokens;    // [n, i, 2] int32, of the form made of the k eigenvectors
  at::Tensor interaction_values, interaction_bounds;  // [n, i] float64
};

struct TokenStudy {
  TokenStudyConfig config;
  int64_t model_layers = 0;
  std::vector<std::string> names;  // of all tokens, by id
  at::Tensor embedding_null, unembedding_null;
  std::vector<TokenLayer> layers;
};

/// The leading eigenpair of each direction of a layer whose hidden units were paired at random: a control.
struct PermutedPairs {
  at::Tensor eigenvalues, eigenvectors;  // [n], [n, d]
};

/// Cards and interactions of a layer with eigenpairs, a few directions at a time.
/// @param remainders bounds on ‖Q − Σλvvᵀ‖₂ of each direction, [n] float64; unused without interactions
/// @throws Error(kBadInput) when the model's tokens do not live in the layer's input space; Stopped
TokenLayer study_tokens(const LayerDecomposition& layer, const PermutedPairs& permuted,
                        const at::Tensor& remainders, const TokenSpace& space,
                        const TokenStudyConfig& config);

/// What that needs in memory beside the layer and the tokens' rows, for n directions of k eigenpairs and a
/// vocabulary.
int64_t token_study_bytes(int64_t n, int64_t k, int64_t vocabulary);

/// Writes study.json and study.safetensors (docs/formats.md).
void write_token_study(const std::filesystem::path& directory, const TokenStudy& study);

}  // namespace bilens
