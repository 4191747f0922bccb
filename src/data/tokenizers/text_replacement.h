#pragma once

#include <string>

#include "json_part.h"
#include "pattern.h"

namespace bilens {

/// The pattern of a Replace or Split: {"String": "..."} or {"Regex": "..."}.
Pattern read_pattern(const JsonPart& part);

/// Replace, as a normalizer or a decoder: all that a pattern finds becomes one text.
class TextReplacement {
 public:
  explicit TextReplacement(const JsonPart& part);
  std::string operator()(const std::string& text) const;
  /// Whether it looks at one character alone, wherever it stands.
  bool of_one_character() const { return of_one_character_; }

 private:
  Pattern pattern_;
  std::string content_;
  bool of_one_character_ = false;
};

}  // namespace bilens
