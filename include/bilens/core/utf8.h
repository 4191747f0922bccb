#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace bilens {

/// Bytes of the UTF-8 character that this byte begins: 1 to 4; 1 also for bytes that begin none.
size_t utf8_length(unsigned char lead);

/// Offset of the first byte that is no valid UTF-8 (RFC 3629: no overlong forms, no surrogates, at most
/// U+10FFFF); none when all is valid.
std::optional<size_t> first_invalid_utf8(std::string_view text);

/// The text with U+FFFD in the place of what is no valid UTF-8, one for each longest beginning of a
/// character, as Python's errors="replace" has it.
std::string replace_invalid_utf8(std::string_view text);

/// Bytes at the end that begin a character and do not finish it.
size_t unfinished_utf8(std::string_view text);

/// The text without white space at its ends, as Python's str.strip() sees it. @param text valid UTF-8
std::string_view strip(std::string_view text);
std::string_view strip_left(std::string_view text);
std::string_view strip_right(std::string_view text);

}  // namespace bilens
