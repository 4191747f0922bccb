#pragma once

#include <string>
#include <string_view>

namespace bilens {

/// Text for a terminal: control characters, but for line breaks and tabs, stand as \u001b. A NUL would end a
/// message, and an escape sequence could hide or forge one.
std::string visible(std::string_view text);

}  // namespace bilens
