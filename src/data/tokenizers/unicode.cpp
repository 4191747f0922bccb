#include "unicode.h"

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/uset.h>
#include <unicode/ustring.h>
#include <unicode/utf16.h>
#include <unicode/utf8.h>

#include <array>
#include <new>

namespace bilens {

namespace {

const UNormalizer2* plain_normalizer(NormalForm form) {
  UErrorCode status = U_ZERO_ERROR;
  const auto* found = form == NormalForm::kNfc    ? unorm2_getNFCInstance(&status)
                      : form == NormalForm::kNfd  ? unorm2_getNFDInstance(&status)
                      : form == NormalForm::kNfkc ? unorm2_getNFKCInstance(&status)
                                                  : unorm2_getNFKDInstance(&status);
  if (U_FAILURE(status)) throw std::bad_alloc();
  return found;
}

/// For the characters of Unicode 12, which are those that the Rust library decomposes; newer ones stay.
const UNormalizer2* normalizer(NormalForm form) {
  static const auto all = [] {
    std::array<UNormalizer2*, 4> normalizers{};
    UErrorCode status = U_ZERO_ERROR;
    constexpr std::u16string_view kKnown = u"[:age=12.0:]";
    USet* known = uset_openPattern(kKnown.data(), static_cast<int32_t>(kKnown.size()), &status);
    uset_freeze(known);
    for (size_t i = 0; i < normalizers.size(); ++i)
      normalizers[i] = unorm2_openFiltered(plain_normalizer(static_cast<NormalForm>(i)), known, &status);
    if (U_FAILURE(status)) throw std::bad_alloc();
    return normalizers;  // with their set, for as long as the program runs
  }();
  return all[static_cast<size_t>(form)];
}

void append_wide(std::u16string_view wide, std::string& text) {
  for (size_t at = 0; at < wide.size();) {
    UChar32 character = 0;
    U16_NEXT_UNSAFE(wide.data(), at, character);
    append_utf8(static_cast<char32_t>(character), text);
  }
}

bool is_ascii(std::string_view text) {
  for (const char byte : text)
    if ((byte & 0x80) != 0) return false;
  return true;
}

}  // namespace

void to_utf16(std::string_view text, std::u16string& wide) {
  wide.resize(text.size());
  size_t at = 0, end = 0;
  for (; at < text.size() && (text[at] & 0x80) == 0; ++at) wide[end++] = static_cast<char16_t>(text[at]);
  while (at < text.size()) {
    const char32_t character = next_character(text, at);
    U16_APPEND_UNSAFE(wide.data(), end, static_cast<UChar32>(character));
  }
  wide.resize(end);
}

std::u16string to_utf16(std::string_view text) {
  std::u16string wide;
  to_utf16(text, wide);
  return wide;
}

char32_t next_character(std::string_view text, size_t& at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  if (lead < 0x80) return ++at, lead;
  UChar32 character = 0;
  U8_NEXT_UNSAFE(text.data(), at, character);
  return static_cast<char32_t>(character);
}

void append_utf8(char32_t character, std::string& text) {
  char bytes[4];
  size_t length = 0;
  U8_APPEND_UNSAFE(bytes, length, static_cast<UChar32>(character));
  text.append(bytes, length);
}

std::string normalize(std::string_view text, NormalForm form) {
  if (is_ascii(text)) return std::string(text);
  const auto wide = to_utf16(text);
  UErrorCode status = U_ZERO_ERROR;
  const auto length_of = [](const std::u16string& units) { return static_cast<int32_t>(units.size()); };
  if (unorm2_quickCheck(plain_normalizer(form), wide.data(), length_of(wide), &status) == UNORM_YES)
    return std::string(text);
  const auto* const normal = normalizer(form);
  std::u16string result(wide.size() + wide.size() / 2 + 16, u'\0');
  const auto write = [&] {
    status = U_ZERO_ERROR;
    return unorm2_normalize(normal, wide.data(), length_of(wide), result.data(), length_of(result), &status);
  };
  int32_t length = write();
  if (status == U_BUFFER_OVERFLOW_ERROR) {
    result.resize(static_cast<size_t>(length) + 1);
    length = write();
  }
  if (U_FAILURE(status)) throw std::bad_alloc();
  std::string normalized;
  append_wide(std::u16string_view(result).substr(0, static_cast<size_t>(length)), normalized);
  return normalized;
}

std::string lowercase(std::string_view text) {
  constexpr char32_t kDottedI = 0x130;
  std::string lower;
  for (size_t at = 0; at < text.size();) {
    const char32_t character = next_character(text, at);
    if (character == kDottedI) {
      lower += "i\xCC\x87";  // and U+0307, the one character whose lower case is two
    } else {
      append_utf8(static_cast<char32_t>(u_tolower(static_cast<UChar32>(character))), lower);
    }
  }
  return lower;
}

bool is_numeric(char32_t character) {
  return (U_GET_GC_MASK(static_cast<UChar32>(character)) & U_GC_N_MASK) != 0;
}

bool is_punctuation(char32_t character) {
  if (character < 0x80) return character > 0x20 && character != 0x7F && u_isalnum(character) == 0;
  // Two have become a symbol and a mark since.
  if (character == 0x166D || character == 0x111C9) return true;
  if ((U_GET_GC_MASK(static_cast<UChar32>(character)) & U_GC_P_MASK) == 0) return false;
  UVersionInfo age;
  u_charAge(static_cast<UChar32>(character), age);
  return age[0] <= 8;
}

bool is_white_space(char32_t character) { return u_isUWhiteSpace(static_cast<UChar32>(character)) != 0; }

bool is_word(char32_t character) {
  const auto c = static_cast<UChar32>(character);
  return u_isUAlphabetic(c) != 0 || (U_GET_GC_MASK(c) & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0 ||
         u_hasBinaryProperty(c, UCHAR_JOIN_CONTROL) != 0;
}

}  // namespace bilens
