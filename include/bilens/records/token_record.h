#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bilens/records/record_file.h"
#include "bilens/records/tensor_table.h"

namespace bilens {

/// The tokens whose directions are nearest to some vectors, on both sides: index 0 of the second-last
/// dimension holds the largest cosines, falling, index 1 the most negative, rising.
struct NearestTokens {
  at::Tensor ids;      // [..., 2, m] int32
  at::Tensor cosines;  // [..., 2, m] float64; 0 with a token whose R_t is 0
};

/// The nearest tokens by embedding and by unembedding rows, with what their cosines are worth.
struct TokenCards {
  NearestTokens embedding, unembedding;                   // [..., 2, m]
  at::Tensor embedding_quantiles, unembedding_quantiles;  // [..., 2, m] float64, see null_quantiles

  /// Shapes are those of one card. Where there are several cards, their dimensions come first: [n, k, 2, m].
  static const TensorTable<TokenCards>& tensors();
};

/// What one layer's eigenvectors say in tokens; n directions, k eigenvectors each.
struct TokenLayer {
  int64_t layer = 0;
  bool embedding_is_own = false, unembedding_is_own = false;  // whether it reads or writes that very basis
  std::string words;                                          // the same in words
  TokenCards eigenvectors;                                    // [n, k, 2, m]
  TokenCards random, permuted;                                // the controls: [2, m], [n, 2, m]
  at::Tensor permuted_eigenvalues;                            // [n]
  at::Tensor interaction_tokens;  // [n, i, 2] int32, of the form made of the k eigenvectors; or undefined
  at::Tensor interaction_values, interaction_bounds;  // [n, i] float64; or undefined

  static const RecordTable<TokenLayer>& record();
  static const TensorTable<TokenLayer>& tensors();
};

/// What the eigenvectors of a language model say in tokens: study.json and study.safetensors.
struct TokenStudy {
  static constexpr RecordFormat kFormat = {"bilens-token-study", 1};

  int64_t nearest = 0, interactions = 0, random_directions = 0, seed = 0;
  std::string space;               // that of the eigenvectors and of the tokens' rows, in words
  std::vector<std::string> names;  // of all tokens, by id
  std::vector<TokenLayer> layers;
  at::Tensor embedding_null, unembedding_null;  // [2 · random_directions, m] float64, see null_cosines

  static const RecordTable<TokenStudy>& record();
  /// All but those of its layers.
  static const TensorTable<TokenStudy>& tensors();
};

/// Writes study.json and study.safetensors.
void write_token_study(const std::filesystem::path& directory, const TokenStudy& study);

/// Nothing where there is no such study, or one of images. @throws Error(kBadInput) when it is damaged
std::optional<TokenStudy> read_token_study(const std::filesystem::path& directory);

}  // namespace bilens
