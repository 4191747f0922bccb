#include "token_data.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "numbers.h"

namespace bilens::report {

namespace {

constexpr int64_t kInteractions = 20;

const std::string& name_of(const TokenStudy& study, const at::Tensor& id) {
  return study.names[static_cast<size_t>(id.item<int64_t>())];
}

/// @param place of the card in tensors [..., 2, m]
Json card(const TokenStudy& study, const TokenCards& cards, const std::vector<int64_t>& place,
          int64_t nearest) {
  const auto at_place = [&](at::Tensor tensor) {
    for (const int64_t index : place) tensor = tensor[index];
    return tensor.contiguous();
  };
  const auto basis = [&](const NearestTokens& tokens, const at::Tensor& all_quantiles) {
    const auto ids = at_place(tokens.ids), cosines = at_place(tokens.cosines),
               quantiles = at_place(all_quantiles);
    const auto* id = ids.const_data_ptr<int32_t>();
    const auto *cosine = cosines.const_data_ptr<double>(), *quantile = quantiles.const_data_ptr<double>();
    Json sides = Json::array();
    for (int64_t side = 0; side < 2; ++side) {
      Json list = Json::array();
      for (int64_t i = 0; i < std::min(nearest, ids.size(1)); ++i) {
        const int64_t at = side * ids.size(1) + i;
        list.push_back(
            {study.names[static_cast<size_t>(id[at])], short_number(cosine[at]), short_number(quantile[at])});
      }
      sides.push_back(list);
    }
    return sides;
  };
  return {{"embedding", basis(cards.embedding, cards.embedding_quantiles)},
          {"unembedding", basis(cards.unembedding, cards.unembedding_quantiles)}};
}

}  // namespace

Json tokens_summary(const TokenStudy& study, int64_t nearest) {
  Json layers = Json::array();
  for (const auto& layer : study.layers) {
    layers.push_back(
        {{"layer", layer.layer}, {"words", layer.words}, {"random", card(study, layer.random, {}, nearest)}});
  }
  return {{"random_directions", study.random_directions}, {"space", study.space}, {"layers", layers}};
}

Json tokens_of_direction(const TokenStudy& study, const TokenLayer& layer, int64_t direction,
                         int64_t nearest) {
  Json interactions = Json::array();
  if (layer.interaction_tokens.defined()) {
    for (int64_t i = 0; i < std::min(kInteractions, layer.interaction_tokens.size(1)); ++i) {
      const auto pair = layer.interaction_tokens[direction][i];
      interactions.push_back({name_of(study, pair[0]), name_of(study, pair[1]),
                              short_number(layer.interaction_values[direction][i].item<double>()),
                              short_number(layer.interaction_bounds[direction][i].item<double>())});
    }
  }
  return {{"permuted",
           {{"eigenvalue", short_number(layer.permuted_eigenvalues[direction].item<double>())},
            {"card", card(study, layer.permuted, {direction}, nearest)}}},
          {"interactions", interactions}};
}

Json tokens_of_pair(const TokenStudy& study, const TokenLayer& layer, int64_t direction, int64_t index,
                    int64_t nearest) {
  return card(study, layer.eigenvectors, {direction, index}, nearest);
}

}  // namespace bilens::report
