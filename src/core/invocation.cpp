#include "bilens/core/invocation.h"

#include "bilens/core/shell.h"

namespace bilens {

namespace {

std::string& invocation() {
  static std::string text;
  return text;
}

}  // namespace

void set_invocation(const std::vector<std::string>& arguments) {
  invocation().clear();
  for (const auto& argument : arguments) invocation() += shell_word(argument) + " ";
}

std::string invocation_with(const std::string& more) { return invocation() + more; }

}  // namespace bilens
