#include "token_data.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bilens/tensor/shape.h"
#include "checked_json.h"

namespace bilens::report {

namespace {

constexpr int64_t kInteractions = 20;

std::string prefix_of(int64_t layer) { return "layer_" + std::to_string(layer) + "."; }

}  // namespace

std::unique_ptr<Tokens> Tokens::read(const std::filesystem::path& decomposition) {
  const auto path = decomposition / "study.json";
  if (!std::filesystem::exists(path)) return nullptr;
  const Json json = read_json(path, ExitCode::kBadInput);
  const CheckedJson study(json, path.string());
  study.require_format("bilens-study", 1);
  if (!study.has("tokens")) return nullptr;
  const auto about = study.object("tokens");
  std::unique_ptr<Tokens> tokens(new Tokens(decomposition / "study.safetensors"));
  tokens->space_ = about.text("space");
  tokens->random_directions_ = about.size("random_directions");
  about.require("vocabulary", {{"type", "array"}, {"items", {{"type", "string"}}}});
  tokens->vocabulary_ = about.json().at("vocabulary").get<std::vector<std::string>>();
  for (const auto& layer : about.objects("layers")) {
    tokens->layers_.push_back(layer.size("layer"));
    tokens->words_.push_back(layer.text("words"));
  }
  return tokens;
}

bool Tokens::has(int64_t layer) const {
  return std::find(layers_.begin(), layers_.end(), layer) != layers_.end();
}

at::Tensor Tokens::tensor(const std::string& name) const { return tensors_.tensor(name); }

const std::string& Tokens::name_of(int64_t id, const std::string& where) const {
  if (id < 0 || id >= static_cast<int64_t>(vocabulary_.size()))
    throw unfit(where, "ids of the " + std::to_string(vocabulary_.size()) + " tokens");
  return vocabulary_[static_cast<size_t>(id)];
}

/// @param place of the card in tensors [..., 2, m]
Json Tokens::card(const std::string& prefix, std::vector<int64_t> place, int64_t nearest) const {
  Json card = Json::object();
  for (const char* basis : {"embedding", "unembedding"}) {
    const std::string name = prefix + basis;
    const auto at_place = [&](const std::string& part) {
      auto found = tensor(name + part);
      for (const int64_t index : place) {
        if (found.dim() < 3 || index >= found.size(0))
          throw unfit(tensors_.path().string() + ": " + name + part, "a card for each eigenvector");
        found = found[index];
      }
      require_shape(found, {2, -1}, tensors_.path().string() + ": " + name + part);
      return found;
    };
    const std::string where = tensors_.path().string() + ": " + name;
    const auto ids = at_place(".ids").to(at::kLong).contiguous();
    const auto cosines = at_place(".cosines").to(at::kDouble).contiguous(),
               quantiles = at_place(".quantiles").to(at::kDouble).contiguous();
    require_shape(cosines, ids.sizes(), where + ".cosines");
    require_shape(quantiles, ids.sizes(), where + ".quantiles");
    const auto* id = ids.const_data_ptr<int64_t>();
    const auto *cosine = cosines.const_data_ptr<double>(), *quantile = quantiles.const_data_ptr<double>();
    Json sides = Json::array();
    for (int64_t side = 0; side < 2; ++side) {
      Json list = Json::array();
      for (int64_t i = 0; i < std::min(nearest, ids.size(1)); ++i) {
        const int64_t at = side * ids.size(1) + i;
        list.push_back(
            {name_of(id[at], where + ".ids"), short_number(cosine[at]), short_number(quantile[at])});
      }
      sides.push_back(list);
    }
    card[basis] = sides;
  }
  return card;
}

Json Tokens::summary(int64_t nearest) const {
  Json layers = Json::array();
  for (size_t i = 0; i < layers_.size(); ++i) {
    layers.push_back({{"layer", layers_[i]},
                      {"words", words_[i]},
                      {"random", card(prefix_of(layers_[i]) + "random_card.", {}, nearest)}});
  }
  return {{"random_directions", random_directions_}, {"space", space_}, {"layers", layers}};
}

Json Tokens::direction(int64_t layer, int64_t direction, int64_t nearest) const {
  if (!has(layer)) return nullptr;
  const std::string prefix = prefix_of(layer), where = tensors_.path().string() + ": " + prefix;
  const auto eigenvalues = tensor(prefix + "permuted_eigenvalues").to(at::kDouble);
  if (eigenvalues.dim() != 1 || direction >= eigenvalues.size(0))
    throw unfit(where + "permuted_eigenvalues", "one for each direction");
  Json interactions = Json::array();
  if (tensors_.tensors().count(prefix + "interactions.tokens") != 0) {
    const auto pairs = tensor(prefix + "interactions.tokens").to(at::kLong);
    const auto values = tensor(prefix + "interactions.values"),
               bounds = tensor(prefix + "interactions.bounds");
    require_shape(pairs, {eigenvalues.size(0), -1, 2}, where + "interactions.tokens");
    require_shape(values, {pairs.size(0), pairs.size(1)}, where + "interactions.values");
    require_shape(bounds, values.sizes(), where + "interactions.bounds");
    for (int64_t i = 0; i < std::min(kInteractions, pairs.size(1)); ++i) {
      const auto pair = pairs[direction][i];
      interactions.push_back({name_of(pair[0].item<int64_t>(), where + "interactions.tokens"),
                              name_of(pair[1].item<int64_t>(), where + "interactions.tokens"),
                              short_number(values[direction][i].item<double>()),
                              short_number(bounds[direction][i].item<double>())});
    }
  }
  return {{"permuted",
           {{"eigenvalue", short_number(eigenvalues[direction].item<double>())},
            {"card", card(prefix + "permuted_cards.", {direction}, nearest)}}},
          {"interactions", interactions}};
}

Json Tokens::eigenpair(int64_t layer, int64_t direction, int64_t index, int64_t nearest) const {
  return has(layer) ? card(prefix_of(layer) + "cards.", {direction, index}, nearest) : Json();
}

}  // namespace bilens::report
