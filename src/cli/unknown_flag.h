#pragma once

#include <string>
#include <vector>

#include "bilens/core/error.h"
#include "commands.h"

namespace bilens {

/// What to say of a flag that a command does not have. The name of a config key is shown as --set takes it,
/// with the value that followed; else the nearest flag or key is named.
/// @param words of the command line, behind the command @param message of the parser, which names the flag
Error unknown_flag(const CommandInfo& command, const std::vector<std::string>& words,
                   const std::string& message);

}  // namespace bilens
