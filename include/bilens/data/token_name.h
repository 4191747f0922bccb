#pragma once

#include <string>
#include <variant>
#include <vector>

#include "bilens/core/fields.h"

namespace bilens {

/// A token as people name it: by its number, or as a word or piece.
using TokenName = std::variant<int64_t, std::string>;

/// In messages and files: 17, "cat" in quotes.
Json to_json(const TokenName& token);

/// JSON Schema of a list of at least `least` token names.
Json token_names_schema(const std::string& meaning, int64_t least);
std::vector<TokenName> read_token_names(const Json& list, const std::string& where,
                                        std::vector<Problem>& problems);
Json write_token_names(const std::vector<TokenName>& tokens);

}  // namespace bilens
