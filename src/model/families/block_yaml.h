#pragma once

#include <string>

#include "bilens/core/json.h"

namespace bilens {

/// What PyYAML's dump writes of numbers, texts, flags, nulls and lists and objects of these: YAML's block
/// style, one value a line.
/// @throws Error(kBadInput) that names a line for all else, such as anchors, tags and texts over several
/// lines
Json parse_block_yaml(const std::string& text, const std::string& where);

}  // namespace bilens
