#pragma once

#include <string>

namespace bilens {

/// A regular expression of Oniguruma's, as a tokenizer.json has it, in ICU's syntax.
///
/// What both read alike goes through: characters, sets and sets in sets, categories and scripts (\p{L},
/// \p{Han}), \s, \d, \w, alternatives, groups, (?i:...) of plain characters, looking ahead and behind, and
/// repetition, lazy or possessive too. What they read differently is refused: \p{N}{1,3}+ is possessive in
/// one and repeated in the other, and so with \h, ^, $, \b, && in sets, and marks within a group.
/// @param where names the expression in messages
/// @throws Error(kBadInput)
std::string icu_pattern(const std::string& regex, const std::string& where);

}  // namespace bilens
