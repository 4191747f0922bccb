#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bilens {

/// What stands in a text from byte `begin` to before byte `end`.
struct TextRange {
  size_t begin = 0, end = 0;
};

/// What a tokenizer.json looks for in a text: a string, or a regular expression of Oniguruma's that means the
/// same in ICU. Copies share it; several threads may use it at once.
class Pattern {
 public:
  static Pattern of_string(std::string text);
  /// @param where names the expression in messages
  /// @throws Error(kBadInput) for one that is wrong, or that the two libraries read differently
  static Pattern of_regex(const std::string& regex, const std::string& where);

  /// All places, from left to right, none overlapping another. @param text valid UTF-8
  /// @throws Error(kBadInput) where an expression takes too long or too much memory
  std::vector<TextRange> find(std::string_view text) const;

 private:
  struct Regex;
  std::string string_;
  std::shared_ptr<Regex> regex_;
};

}  // namespace bilens
