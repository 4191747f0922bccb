#include "bilens/core/utf8.h"

#include <string>

#include "catch.h"

namespace bilens::utf8_test {
namespace {

TEST_CASE("the first byte that is no UTF-8 is found, wherever it stands") {
  CHECK_FALSE(first_invalid_utf8(""));
  CHECK_FALSE(first_invalid_utf8("plain text of more than eight bytes"));
  // The least and the largest character of each length.
  CHECK_FALSE(
      first_invalid_utf8("\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"));
  const std::pair<std::string, size_t> cases[] = {
      {"\x80", 0},                  // a continuation alone
      {"ab\xFFz", 2},               // never a byte of UTF-8
      {"\xC1\xBF", 0},              // overlong, 2 bytes
      {"a\xE0\x9F\xBF", 1},         // overlong, 3 bytes
      {"\xF0\x8F\xBF\xBF", 0},      // overlong, 4 bytes
      {"\xED\xA0\x80", 0},          // a surrogate
      {"\xF4\x90\x80\x80", 0},      // above U+10FFFF
      {"\xF5\x80\x80\x80", 0},      // no lead
      {"0123456789\xE2\x82", 10},   // cut off
      {"0123456\xC3", 7},           // in the last byte of eight
      {"\xC3\xA9\xC3\xA9\xC3(", 4}  // not continued
  };
  for (const auto& [text, offset] : cases) {
    CAPTURE(text);
    CHECK(first_invalid_utf8(text) == offset);
    CHECK(first_invalid_utf8("0123456789abcdef" + text) == offset + 16);
  }
}

TEST_CASE("white space at the ends goes, as Python's strip does it") {
  CHECK(strip("") == "");
  CHECK(strip(" \t\r\n\v\f") == "");
  CHECK(strip("a") == "a");
  CHECK(strip("\n\n a b \xC3\xA9\n ") == "a b \xC3\xA9");
  // U+0085, U+00A0, U+1680, U+2003, U+2028, U+3000, and U+001C
  const std::string spaces = "\xC2\x85\xC2\xA0\xE1\x9A\x80\xE2\x80\x83\xE2\x80\xA8\xE3\x80\x80\x1C";
  CHECK(strip(spaces) == "");
  CHECK(strip(spaces + "x" + spaces + "y" + spaces) == "x" + spaces + "y");
  // U+200B (zero width) and U+FEFF are no white space.
  CHECK(strip("\xE2\x80\x8B") == "\xE2\x80\x8B");
  CHECK(strip("\xEF\xBB\xBF a") == "\xEF\xBB\xBF a");
  // Bytes that are no UTF-8 stay.
  CHECK(strip(" \x80\x80 ") == "\x80\x80");
}

TEST_CASE("a lead byte says how long its character is") {
  CHECK(utf8_length('a') == 1);
  CHECK(utf8_length(0xC3) == 2);
  CHECK(utf8_length(0xE2) == 3);
  CHECK(utf8_length(0xF0) == 4);
  for (const unsigned char none : {0x80, 0xBF, 0xC0, 0xC1, 0xF5, 0xFF}) CHECK(utf8_length(none) == 1);
}

}  // namespace
}  // namespace bilens::utf8_test
