#pragma once

#include <string>

namespace bilens {

/// A word as it can be typed in a shell: as it is where no character in it means something there, else
/// between single quotes.
std::string shell_word(const std::string& text);

}  // namespace bilens
