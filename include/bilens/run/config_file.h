#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bilens/core/json.h"
#include "bilens/records/environment.h"

namespace bilens {

/// The config as the user wrote it: the file (if any), then each "a.b=VALUE" on top. VALUE is JSON where it
/// parses as JSON, else a string.
/// @throws Error(kUsage)
Json load_config(const std::filesystem::path& file, const std::vector<std::string>& settings);

/// Puts "a.b=VALUE" into a config, as load_config does. @param where names the flag in messages
void apply_setting(Json& config, const std::string& text, const std::string& where);

/// "a.b=VALUE" for a value that is known already.
std::string setting(const std::string& path, const Json& value);

/// A resumed job must be the same job: its settings against those of an earlier run, section by section.
/// @throws Error(kUsage) that names each key that differs
void require_same_settings(const Json& before, const std::filesystem::path& file, const Json& now);

/// What the machine and the program are.
Environment describe_environment(const std::string& device);

}  // namespace bilens
