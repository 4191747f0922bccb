#pragma once

#include <string>

#include "bilens/run/outcome.h"
#include "flags.h"

namespace bilens {

/// @throws Error(kUsage) for a name that no command has
const CommandInfo& command_named(const std::string& name);

/// Does what the flags say. @throws Error, Stopped and what the libraries throw
Outcome run_command(const CommandInfo& command, const Flags& flags);

}  // namespace bilens
