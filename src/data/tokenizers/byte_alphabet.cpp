#include "byte_alphabet.h"

#include <array>

#include "unicode.h"

namespace bilens {

namespace {

constexpr size_t kCharacters = 0x144;  // behind the last of them

struct Alphabet {
  std::array<char32_t, 256> characters;
  std::array<int, kCharacters> bytes;

  Alphabet() {
    bytes.fill(-1);
    char32_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const bool itself = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
      const char32_t character = itself ? byte : next++;
      characters[byte] = character;
      bytes[character] = static_cast<int>(byte);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet alphabet;
  return alphabet;
}

}  // namespace

char32_t byte_character(unsigned char byte) { return alphabet().characters[byte]; }

std::string to_byte_characters(std::string_view bytes) {
  std::string characters;
  for (const char byte : bytes) append_utf8(byte_character(static_cast<unsigned char>(byte)), characters);
  return characters;
}

std::optional<std::string> from_byte_characters(std::string_view characters) {
  std::string bytes;
  for (size_t at = 0; at < characters.size();) {
    const char32_t character = next_character(characters, at);
    const int byte = character < kCharacters ? alphabet().bytes[character] : -1;
    if (byte < 0) return std::nullopt;
    bytes += static_cast<char>(byte);
  }
  return bytes;
}

}  // namespace bilens
