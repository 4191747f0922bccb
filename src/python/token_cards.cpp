#include "token_cards.h"

#include <pybind11/stl/filesystem.h>

#include "bilens/run/token_cards_run.h"

namespace bilens::python {

namespace {

/// (study.json, [(layer, [(name, tensor)])]): the cards of each layer's eigenvectors.
using Cards = std::pair<std::string, std::vector<std::pair<int64_t, NamedTensors>>>;

Cards cards_of(const TokenStudy& study) {
  Cards cards{TokenStudy::record().write(study).dump(), {}};
  for (const auto& layer : study.layers) {
    const auto& [embedding, unembedding, embedding_quantiles, unembedding_quantiles] = layer.eigenvectors;
    cards.second.emplace_back(layer.layer, NamedTensors{{"ids", embedding.ids},
                                                        {"cosines", embedding.cosines},
                                                        {"quantiles", embedding_quantiles},
                                                        {"unembedding_ids", unembedding.ids},
                                                        {"unembedding_cosines", unembedding.cosines},
                                                        {"unembedding_quantiles", unembedding_quantiles}});
  }
  return cards;
}

}  // namespace

void bind_token_cards(py::module_& module) {
  module.def(
      "token_cards",
      [](const Decomposition& decomposition, const StoredModel& model, std::optional<int64_t> nearest,
         const std::filesystem::path& tokenizer, const std::vector<std::string>& pieces) {
        return in_library([&] {
          return cards_of(find_token_cards(decomposition, {model, nearest, tokenizer, pieces}));
        });
      },
      py::arg("decomposition"), py::arg("model"), py::arg("nearest"), py::arg("tokenizer"),
      py::arg("pieces"));
  // Nothing where the folder has no study of tokens.
  module.def("read_token_cards", [](const std::filesystem::path& folder) {
    return in_library([&]() -> std::optional<Cards> {
      const auto study = read_token_study(folder);
      if (!study) return std::nullopt;
      return cards_of(*study);
    });
  });
}

}  // namespace bilens::python
