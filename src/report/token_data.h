#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bilens/core/json.h"
#include "bilens/io/safetensors.h"

namespace bilens::report {

/// What a decomposition's eigenvectors say in tokens: "tokens" of study.json, and study.safetensors.
///
/// A card is {"embedding", "unembedding": [side of largest cosines, side of the most negative]}, each side a
/// list of [token, cosine, quantile].
class Tokens {
 public:
  /// Null where there is none. @throws Error(kBadInput) when it is damaged
  static std::unique_ptr<Tokens> read(const std::filesystem::path& decomposition);

  /// {"random_directions", "space", "layers": [{"layer", "words", "random": card}]}
  Json summary(int64_t nearest) const;
  /// {"permuted": {"eigenvalue", "card"}, "interactions": [[token, token, value, bound]]}; null where the
  /// layer was not studied.
  Json direction(int64_t layer, int64_t direction, int64_t nearest) const;
  /// A card; null where the layer was not studied.
  Json eigenpair(int64_t layer, int64_t direction, int64_t index, int64_t nearest) const;

 private:
  explicit Tokens(const std::filesystem::path& tensors) : tensors_(tensors) {}
  bool has(int64_t layer) const;
  at::Tensor tensor(const std::string& name) const;
  Json card(const std::string& prefix, std::vector<int64_t> place, int64_t nearest) const;
  const std::string& name_of(int64_t id, const std::string& where) const;

  SafetensorsFile tensors_;
  std::vector<std::string> vocabulary_;
  std::vector<int64_t> layers_;
  Json words_ = Json::array();  // of each layer
  std::string space_;
  int64_t random_directions_ = 0;
};

}  // namespace bilens::report
