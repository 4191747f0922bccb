#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "json_part.h"

namespace bilens {

/// The normalizer of a tokenizer.json: NFC, NFD, NFKC, NFKD, Replace, Prepend, Lowercase, Strip, Sequence.
class Normalizer {
 public:
  Normalizer() = default;  // the identity
  /// @throws Error(kBadInput) for another kind, or a wrong field
  explicit Normalizer(const JsonPart& part);

  /// @param text valid UTF-8; so is what is returned
  std::string operator()(std::string text) const;

  bool empty() const { return steps_.empty(); }
  /// Whether what stands first in a text comes from the text's first character, and what stands behind does
  /// not: the normal forms and Lowercase.
  bool keeps_beginning() const { return keeps_beginning_; }

 private:
  void add(const JsonPart& part);

  std::vector<std::function<std::string(std::string)>> steps_;
  bool keeps_beginning_ = true;
};

}  // namespace bilens
