#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bilens/core/error.h"

namespace bilens {

/// Keys keep the order in which they were written.
using Json = nlohmann::ordered_json;

/// Parses strict JSON (RFC 8259): no duplicate keys, no byte-order mark, valid UTF-8, nesting at most 64
/// deep, numbers that a double can hold. `where` names the text in messages.
/// @throws Error(code) with line and column.
Json parse_json(const std::string& text, const std::string& where, ExitCode code);

/// Reads a JSON file of at most 64 MiB.
Json read_json(const std::filesystem::path& path, ExitCode code);

/// The members of an object that have one of these names and are not null, which stands for "not given".
Json given_members(const Json& object, const std::vector<std::string>& names);

/// Two-space indentation, a newline at the end; numbers that are not finite become null.
std::string format_json(const Json& json);

/// Short name of a value's type for messages: "a string", "an integer", ...
std::string describe(const Json& json);

}  // namespace bilens
