#pragma once

#include <string>
#include <vector>

#include "bilens/analysis/tokens/token_cards.h"
#include "bilens/core/fields.h"
#include "bilens/records/layer_decomposition.h"

namespace bilens {

struct TokenStudyConfig {
  int64_t nearest = 8;              // tokens on each side of a card
  int64_t interactions = 20;        // of each direction; 0: none
  int64_t random_directions = 500;  // that cosines are held against
  int64_t seed = 0;

  static const FieldTable<TokenStudyConfig>& fields();
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

/// The leading eigenpair of each direction of a layer whose hidden units were paired at random: a control.
/// Undefined where none is wanted.
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

/// What the study says of the basis of a layer, one of `layers` of the model: whether it is the layer's own.
void describe_bases(TokenLayer& layer, int64_t layers);

/// The study of a model's tokens, still without layers.
/// @param names of all tokens, by id
TokenStudy begin_token_study(const TokenSpace& space, const TokenStudyConfig& config,
                             std::vector<std::string> names);

}  // namespace bilens
