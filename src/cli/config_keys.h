#pragma once

#include <string>
#include <vector>

#include "bilens/core/json.h"

namespace bilens {

/// JSON Schema of a command's config. @throws Error(kUsage) for a command that has none
Json config_schema(const std::string& command);

/// Paths of the keys that hold a value and are called `name` or have it as their path, such as "train.epochs"
/// for "epochs"; "-" stands for "_".
std::vector<std::string> keys_named(const Json& schema, const std::string& name);

/// Paths of all keys that hold a value, each once.
std::vector<std::string> key_paths(const Json& schema);

/// Names of all keys that hold a value, each once.
std::vector<std::string> key_names(const Json& schema);

}  // namespace bilens
