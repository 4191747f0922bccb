#include "bilens/records/token_record.h"

#include <ATen/ATen.h>

#include "study_files.h"

namespace bilens {

namespace {

void require_ids(const at::Tensor& ids, size_t known, const std::string& where) {
  if (ids.defined())
    require_between(ids, 0, static_cast<int64_t>(known), where,
                    "ids of the " + std::to_string(known) + " tokens");
}

void read_token_layer(const SafetensorsFile& file, const TokenStudy& study, TokenLayer& layer) {
  const std::string prefix = layer_prefix(layer.layer), where = file.path().string() + ": " + prefix;
  Dimensions sizes;
  TokenLayer::tensors().read(file, prefix, layer, sizes);
  const auto require_cards = [&](const char* name, const TokenCards& cards) {
    require_ids(cards.embedding.ids, study.names.size(), where + name + ".embedding.ids");
    require_ids(cards.unembedding.ids, study.names.size(), where + name + ".unembedding.ids");
  };
  require_cards("cards", layer.eigenvectors);
  require_cards("random_card", layer.random);
  require_cards("permuted_cards", layer.permuted);
  require_ids(layer.interaction_tokens, study.names.size(), where + "interactions.tokens");
}

}  // namespace

const TensorTable<TokenCards>& TokenCards::tensors() {
  using N = NearestTokens;
  using C = TokenCards;
  static const auto nearest =
      TensorTable<N>()
          .tensor("ids", &N::ids, "2, m", StoredAs::kInt32,
                  "tokens, rows of `vocabulary`: those of largest cosine, then those of the most negative")
          .tensor("cosines", &N::cosines, "2, m", StoredAs::kFloat64, "with the token's centred row");
  static const char* const kQuantiles =
      "quantile of the j-th |cosine| among the j-th largest cosines of random directions; 1: none came as "
      "near";
  static const auto table =
      TensorTable<C>()
          .part("embedding.", &C::embedding, nearest)
          .tensor("embedding.quantiles", &C::embedding_quantiles, "2, m", StoredAs::kFloat64, kQuantiles)
          .part("unembedding.", &C::unembedding, nearest)
          .tensor("unembedding.quantiles", &C::unembedding_quantiles, "2, m", StoredAs::kFloat64, kQuantiles);
  return table;
}

const RecordTable<TokenLayer>& TokenLayer::record() {
  using R = TokenLayer;
  static const auto table =
      RecordTable<R>()
          .field("layer", &R::layer, "Number of the layer.")
          .field("embedding_is_own", &R::embedding_is_own,
                 "Whether the layer reads the embedding but for the first attention.")
          .field("unembedding_is_own", &R::unembedding_is_own,
                 "Whether what the layer writes reaches the logits through the last norm alone.")
          .field("words", &R::words, "The same in words.");
  return table;
}

const TensorTable<TokenLayer>& TokenLayer::tensors() {
  using R = TokenLayer;
  static const auto table =
      TensorTable<R>()
          .part("cards.", &R::eigenvectors, TokenCards::tensors(), "n, k")
          .part("random_card.", &R::random, TokenCards::tensors())
          .part("permuted_cards.", &R::permuted, TokenCards::tensors(), "n")
          .tensor("permuted_eigenvalues", &R::permuted_eigenvalues, "n", StoredAs::kFloat64,
                  "eigenvalues of the leading eigenvectors when gate and up units are paired at random")
          .tensor("interactions.tokens", &R::interaction_tokens, "n, i, 2", StoredAs::kInt32,
                  "pairs i ≤ j, by falling absolute value; i = j: a token by itself")
          .optional()
          .tensor(
              "interactions.values", &R::interaction_values, "n, i", StoredAs::kFloat64,
              "2R_iᵀQ_kR_j, or R_iᵀQ_kR_i, with the k eigenpairs of the file and centred embedding rows R")
          .optional()
          .tensor("interactions.bounds", &R::interaction_bounds, "n, i", StoredAs::kFloat64,
                  "the value with all of Q is no further away, rounding included; NaN where float64 holds no "
                  "bound")
          .optional();
  return table;
}

const RecordTable<TokenStudy>& TokenStudy::record() {
  using R = TokenStudy;
  static const auto table =
      RecordTable<R>()
          .field("nearest", &R::nearest, "Nearest tokens on each side of an eigenvector.", "tokens")
          .field("interactions", &R::interactions, "Largest interactions of a direction.", "pairs of tokens")
          .field("random_directions", &R::random_directions,
                 "Random directions that cosines are held against.")
          .field("seed", &R::seed, "Seed of the random directions and of the permuted units.")
          .field("space", &R::space, "The space of eigenvectors and tokens, in words.")
          .field("vocabulary", &R::names, "Names of all tokens, by id.")
          .field("layers", &R::layers, "One entry a layer.");
  return table;
}

const TensorTable<TokenStudy>& TokenStudy::tensors() {
  using R = TokenStudy;
  static const auto table =
      TensorTable<R>()
          .tensor(
              "tokens.embedding.null_cosines", &R::embedding_null, "r, m", StoredAs::kFloat64,
              "each column sorted: the j-th largest cosines of the random directions, both sides of each, "
              "r = 2·`random_directions`")
          .tensor("tokens.unembedding.null_cosines", &R::unembedding_null, "r, m", StoredAs::kFloat64,
                  "the same with unembedding rows");
  return table;
}

void write_token_study(const std::filesystem::path& directory, const TokenStudy& study) {
  auto tensors = TokenStudy::tensors().write(study, "", {});
  for (const auto& layer : study.layers) {
    const auto more = TokenLayer::tensors().write(layer, layer_prefix(layer.layer), {});
    tensors.insert(tensors.end(), more.begin(), more.end());
  }
  write_safetensors(directory / kStudyTensors, tensors, format_metadata(TokenStudy::kFormat));
  write_record_file(directory / kStudyFile, study);
}

std::optional<TokenStudy> read_token_study(const std::filesystem::path& directory) {
  const auto json = read_study_file(directory, TokenStudy::kFormat, true);
  if (json.is_null()) return std::nullopt;
  auto study = read_record<TokenStudy>(json, (directory / kStudyFile).string());
  const SafetensorsFile file(directory / kStudyTensors);
  Dimensions sizes;
  TokenStudy::tensors().read(file, "", study, sizes);
  for (auto& layer : study.layers) read_token_layer(file, study, layer);
  return study;
}

}  // namespace bilens
