#pragma once

#include <functional>
#include <string>
#include <vector>

namespace bilens {

/// How another program ended.
struct ChildEnd {
  int code = 0;        // its exit code, where it ended by itself
  int signal = 0;      // what ended it; 0: nothing did
  std::string errors;  // the end of what it wrote to stderr, at most 64 kB
};

/// Runs another program to its end, without a shell; it reads nothing from stdin. A stop that is asked for
/// (stop.h) ends it too.
/// @param words the program, looked for on PATH where there is no slash in it, and its arguments
/// @param take_line called with each line that it writes to stdout
/// @throws Error(kUsage) where there is no such program, Stopped
ChildEnd run_child(const std::vector<std::string>& words,
                   const std::function<void(const std::string&)>& take_line);

}  // namespace bilens
