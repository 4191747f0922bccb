#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bilens {

/// UTF-8 to UTF-16. @param text valid UTF-8
void to_utf16(std::string_view text, std::u16string& wide);
std::u16string to_utf16(std::string_view text);

/// The character at a byte and the byte behind it. @param text valid UTF-8
char32_t next_character(std::string_view text, size_t& at);
void append_utf8(char32_t character, std::string& text);

/// Unicode's normal forms.
enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
std::string normalize(std::string_view text, NormalForm form);
/// Each character by itself: Σ becomes σ, also at the end of a word.
std::string lowercase(std::string_view text);

// What characters are, as the Rust library `tokenizers` sees them.
bool is_numeric(char32_t character);      // Nd, Nl, No
bool is_punctuation(char32_t character);  // ASCII's, and the punctuation of Unicode 8
bool is_white_space(char32_t character);
bool is_word(char32_t character);  // a letter, mark, digit, connector or joiner

}  // namespace bilens
