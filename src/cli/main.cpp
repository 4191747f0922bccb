#include <sys/auxv.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include "bilens/cli/command_line.h"
#include "bilens/core/memory.h"
#include "bilens/tensor/device.h"

#if !defined(__SANITIZE_ADDRESS__)  // a sanitizer is not ready that early
namespace {

/// Starts the program anew with threads that wait asleep, before OpenMP reads its environment, unless that
/// says how they wait. Threads that wait by spinning take the processor from those they wait for as soon as
/// another process needs one. Runs before the constructors of any library: in a few milliseconds.
void let_threads_sleep(int, char** arguments, char** environment) {
  if (getauxval(AT_BASE) == 0) return;  // started through the loader, which is then what /proc says we are
  constexpr size_t kMost = 4096;
  static std::array<char*, kMost> changed;
  static std::array<char, kMost> program;
  size_t count = 0;
  for (; environment[count] != nullptr; ++count) {
    const std::string_view variable(environment[count]);
    for (const std::string_view said : {"OMP_WAIT_POLICY=", "GOMP_SPINCOUNT="})
      if (variable.substr(0, said.size()) == said) return;
    if (count + 2 == kMost) return;
    changed[count] = environment[count];
  }
  static std::array waiting = std::to_array("OMP_WAIT_POLICY=passive");
  changed[count] = waiting.data();
  const ssize_t length = readlink("/proc/self/exe", program.data(), program.size() - 1);
  if (length > 0) execve(program.data(), arguments, changed.data());
}

using Initializer = void (*)(int, char**, char**);
[[gnu::section(".preinit_array"), gnu::used]] const Initializer kBeforeLibraries = let_threads_sleep;

}  // namespace
#endif

int main(int argc, char** argv) {
  bilens::keep_freed_memory();
  bilens::limit_default_threads();
  const int code = bilens::run_command_line(argc, argv);
  std::cout.flush();
  // Without LibTorch's static destructors, which cost every command 0.3 s and 100 MB.
  std::quick_exit(code);
}
