#pragma once

#include <string>

namespace bilens {

/// A script that makes a shell complete commands, flags, their values and config keys.
/// @param shell bash, zsh or fish
/// @throws Error(kUsage) for another one
std::string completion_script(const std::string& shell);

}  // namespace bilens
