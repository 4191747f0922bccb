#pragma once

#include <string>

namespace bilens {

/// Text by the rules of printf, of any length; the compiler checks the arguments against the pattern.
[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...);

}  // namespace bilens
