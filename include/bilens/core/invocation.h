#pragma once

#include <string>
#include <vector>

namespace bilens {

/// Keeps how the program was called, for messages that say what to type.
void set_invocation(const std::vector<std::string>& arguments);

/// How to call the program as it was called, with more arguments, quoted for a shell: "bilens decompose
/// model.safetensors --gate none"; the arguments alone where the library was called by another program.
std::string invocation_with(const std::string& more);

}  // namespace bilens
