#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace bilens {

/// The characters that stand for bytes in byte-level pieces, GPT-2's: the printable ones of Latin-1 for
/// themselves, U+0100 and on for the others, so that a space is "Ġ".
char32_t byte_character(unsigned char byte);
std::string to_byte_characters(std::string_view bytes);

/// The bytes that the characters stand for; none where one of them stands for none.
std::optional<std::string> from_byte_characters(std::string_view characters);

}  // namespace bilens
