#pragma once

namespace bilens {

/// The program: flags in, one call, exit code out.
int run_command_line(int argc, char** argv);

}  // namespace bilens
