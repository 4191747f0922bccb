#pragma once

#include <string>

namespace bilens {

enum class Verbosity { kErrors, kQuiet, kNormal, kVerbose };

/// Everything that people read goes through here to stderr, or to this thread's host (host.h); stdout belongs
/// to results.
void set_verbosity(Verbosity verbosity);
Verbosity verbosity();

void log_debug(const std::string& message);
void log_info(const std::string& message);
void log_warning(const std::string& message);
void log_error(const std::string& message);

/// Whether stderr is a terminal: then progress is a bar on a line that is drawn again and again.
bool stderr_is_terminal();

/// Draws the one transient line at the bottom of the terminal; "" removes it. Log lines are printed above it.
void set_status_line(const std::string& line);

}  // namespace bilens
