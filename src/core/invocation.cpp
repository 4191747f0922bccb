#include "bilens/core/invocation.h"

namespace bilens {

namespace {

std::string& invocation() {
  static std::string text;
  return text;
}

std::string quoted(const std::string& argument) {
  const char* const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:=,+@%";
  if (!argument.empty() && argument.find_first_not_of(plain) == std::string::npos) return argument;
  std::string text = "'";
  for (const char c : argument) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

}  // namespace

void set_invocation(const std::vector<std::string>& arguments) {
  invocation().clear();
  for (const auto& argument : arguments) invocation() += quoted(argument) + " ";
}

std::string invocation_with(const std::string& more) { return invocation() + more; }

}  // namespace bilens
