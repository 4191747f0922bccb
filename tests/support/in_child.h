#pragma once

#include <sys/wait.h>
#include <unistd.h>

namespace bilens::test {

/// Exit status of `action` in a process of its own; −1 where a signal ended it.
template <class Action>
int in_child(const Action& action) {
  const pid_t child = fork();
  if (child == 0) _exit(action());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace bilens::test
