#pragma once

#include <string>
#include <vector>

#include "bilens/run/outcome.h"

namespace bilens {

/// The program: flags in, one call, exit code out.
int run_command_line(int argc, char** argv);

/// What a command does, for another program: nothing is printed, and signals stay as they are.
/// @param arguments the command's name, and what follows it on a command line
/// @throws Error; Stopped where this thread's host asks to stop
Outcome run_command(const std::vector<std::string>& arguments);

}  // namespace bilens
