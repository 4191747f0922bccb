#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "bilens/core/json.h"
#include "bilens/model/stored_model.h"
#include "bilens/nn/gate.h"

namespace bilens {

/// Whether a config.json is of the papers' code, by keys that it alone has.
bool has_own_keys(const Json& config);

/// The config.json of the code of arXiv 2410.08417 (github.com/tdooms/bilinear-decomposition): a dump of all
/// its keys, most of which change nothing of what a trained model computes and are passed over.
struct PaperConfig {
  std::string where;           // for messages
  Json keys = Json::object();  // empty without a file

  /// A directory's config.json; of a file, the one beside it where that has the code's own "d_hidden" and
  /// "n_layer". Without one, no keys.
  /// @throws Error(kBadInput) for a file that is no JSON object
  static PaperConfig of(const StoredModel& model);

  /// A key's value, or `otherwise` where it is not given or null. @throws Error(kBadInput) for another type
  bool flag(const std::string& key, bool otherwise) const;

  /// @throws Error(kBadInput) where the key is missing or no positive integer
  int64_t size(const std::string& key) const;

  /// @throws Error(kBadInput) where the key is given and says otherwise than the weights
  void require(const std::string& key, const Json& by_weights) const;

  /// @throws Error(kBadInput), with the reason, where the key is given and neither null, false, 0 nor ""
  void refuse(const std::string& key, const std::string& reason) const;

  /// f of f(left) * right: "gate" is null, or a name, or true for ReLU (an early version).
  /// @throws Error(kBadInput) for other gates, and where "bilinear" is false: an MLP without a second factor
  Gate gate() const;
};

}  // namespace bilens
