#include "bilens/core/utf8.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace bilens {

namespace {

/// The character at `offset` and its length in bytes; length 0 when the bytes are no valid UTF-8.
struct Character {
  uint32_t code = 0;
  size_t length = 0;
};

Character character_at(std::string_view text, size_t offset) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[offset + i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const size_t length = utf8_length(lead);
  if (length == 1 || offset + length > text.size()) return {};
  uint32_t code = lead & (0x7F >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3F);
  }
  constexpr std::array<uint32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xD800 && code < 0xE000;
  if (code < kLeast[length] || code > 0x10FFFF || surrogate) return {};
  return {code, length};
}

/// Bytes at `offset` that together begin a character: one for a byte that begins none, fewer than its length
/// where the text breaks it off.
size_t beginning_at(std::string_view text, size_t offset) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[offset + i]); };
  const unsigned char lead = byte(0);
  const size_t length = std::min(utf8_length(lead), text.size() - offset);
  if (length < 2) return 1;
  // The second byte's range excludes overlong forms, surrogates and what is beyond U+10FFFF.
  const unsigned char least = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char most = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (byte(1) < least || byte(1) > most) return 1;
  size_t end = 2;
  while (end < length && (byte(end) & 0xC0) == 0x80) ++end;
  return end;
}

bool is_space(uint32_t code) {
  if (code < 0x80) return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20);
  if (code >= 0x2000 && code <= 0x200A) return true;
  constexpr std::array<uint32_t, 8> kSpaces = {0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
  return std::find(kSpaces.begin(), kSpaces.end(), code) != kSpaces.end();
}

}  // namespace

size_t utf8_length(unsigned char lead) {
  if (lead >= 0xC2 && lead < 0xE0) return 2;
  if (lead >= 0xE0 && lead < 0xF0) return 3;
  if (lead >= 0xF0 && lead < 0xF5) return 4;
  return 1;
}

std::optional<size_t> first_invalid_utf8(std::string_view text) {
  for (size_t offset = 0; offset < text.size();) {
    uint64_t eight = 0;
    if (offset + 8 <= text.size()) {
      std::memcpy(&eight, text.data() + offset, 8);
      if ((eight & 0x8080808080808080ULL) == 0) {
        offset += 8;
        continue;
      }
    }
    const size_t length = character_at(text, offset).length;
    if (length == 0) return offset;
    offset += length;
  }
  return std::nullopt;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string valid;
  while (const auto offset = first_invalid_utf8(text)) {
    valid.append(text.substr(0, *offset)).append("\xEF\xBF\xBD");
    text.remove_prefix(*offset + beginning_at(text, *offset));
  }
  return valid.append(text);
}

size_t unfinished_utf8(std::string_view text) {
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    const auto lead = static_cast<unsigned char>(text[text.size() - back]);
    if ((lead & 0xC0) == 0x80) continue;
    const bool broken_off = utf8_length(lead) > back && beginning_at(text, text.size() - back) == back;
    return broken_off ? back : 0;
  }
  return 0;
}

std::string_view strip(std::string_view text) { return strip_left(strip_right(text)); }

std::string_view strip_left(std::string_view text) {
  while (!text.empty()) {
    const auto first = character_at(text, 0);
    if (first.length == 0 || !is_space(first.code)) break;
    text.remove_prefix(first.length);
  }
  return text;
}

std::string_view strip_right(std::string_view text) {
  while (!text.empty()) {
    size_t begin = text.size() - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
    const auto last = character_at(text, begin);
    if (last.length != text.size() - begin || !is_space(last.code)) break;
    text.remove_suffix(last.length);
  }
  return text;
}

}  // namespace bilens
