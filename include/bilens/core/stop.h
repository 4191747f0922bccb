#pragma once

namespace bilens {

/// From now on a first SIGINT or SIGTERM only asks to stop; a second one ends the process at once with 128 +
/// n.
void install_stop_handler();

/// Whether somebody asked to stop: by a signal, or through this thread's host (host.h). Long work looks at
/// this between steps, saves, and throws Stopped.
bool stop_requested();

/// Thrown by work that has saved what it needs to be resumed.
struct Stopped {};

}  // namespace bilens
