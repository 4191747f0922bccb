#include "pattern_syntax.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "bilens/core/error.h"

namespace bilens {

namespace {

constexpr int kDeepest = 50;  // groups and sets within each other

/// What \p{...} may name: general categories, and scripts by names that both libraries have.
constexpr std::array<std::string_view, 56> kProperties = {
    "L",        "Lu",      "Ll",       "Lt",         "Lm",       "Lo",       "M",      "Mn",
    "Mc",       "Me",      "N",        "Nd",         "Nl",       "No",       "P",      "Pc",
    "Pd",       "Ps",      "Pe",       "Pi",         "Pf",       "Po",       "S",      "Sm",
    "Sc",       "Sk",      "So",       "Z",          "Zs",       "Zl",       "Zp",     "C",
    "Cc",       "Cf",      "Cn",       "Co",         "Letter",   "Number",   "Mark",   "Arabic",
    "Armenian", "Bengali", "Cyrillic", "Devanagari", "Ethiopic", "Georgian", "Greek",  "Han",
    "Hangul",   "Hebrew",  "Hiragana", "Katakana",   "Latin",    "Tamil",    "Telugu", "Thai"};

bool is_letter_or_digit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// Reads the expression once, from left to right, and writes what it means for ICU.
class Translation {
 public:
  Translation(std::string_view regex, const std::string& where) : regex_(regex), where_(where) {}

  std::string all() {
    alternatives(false, 0);
    if (at_ < regex_.size()) refuse("a ) that closes nothing");
    return icu_;
  }

 private:
  bool ends() const { return at_ >= regex_.size(); }
  char peek(size_t ahead = 0) const { return at_ + ahead < regex_.size() ? regex_[at_ + ahead] : '\0'; }
  bool take(std::string_view text) {
    if (!regex_.substr(at_).starts_with(text)) return false;
    at_ += text.size();
    return true;
  }

  [[noreturn]] void refuse(const std::string& found) const {
    throw Error(ExitCode::kBadInput,
                {where_, "a regular expression that Oniguruma and ICU read alike",
                 std::string(regex_) + ", with " + found + " at byte " + std::to_string(at_),
                 "Others are not read. In Python tokenize the text, and give token ids (tokens:FILE)."});
  }

  /// A character that stands for itself, whatever it means to ICU.
  void literal(char c) {
    if (static_cast<unsigned char>(c) < 0x80 && !is_letter_or_digit(c)) {
      if (c < ' ' || c == 0x7F) {
        constexpr std::string_view kHex = "0123456789ABCDEF";
        icu_ += std::string("\\x") + kHex[static_cast<size_t>(c >> 4)] + kHex[static_cast<size_t>(c & 15)];
        return;
      }
      icu_ += '\\';
    }
    icu_ += c;
  }

  /// The bytes of one character.
  void literal_character() {
    literal(regex_[at_++]);
    while ((peek() & 0xC0) == 0x80 && !ends()) icu_ += regex_[at_++];
  }

  void alternatives(bool caseless, int depth) {
    if (depth > kDeepest) refuse("groups more than " + std::to_string(kDeepest) + " deep");
    while (!ends() && peek() != ')') {
      if (take("|")) {
        icu_ += '|';
        continue;
      }
      const bool repeatable = atom(caseless, depth);
      repetition(repeatable);
    }
  }

  /// @return whether it may be repeated
  bool atom(bool caseless, int depth) {
    const char c = peek();
    if (c == '(') return group(caseless, depth);
    if (c == '[') return set(caseless, depth), true;
    if (c == '\\') return escape(caseless, false), true;
    if (c == '.') return ++at_, icu_ += '.', true;
    if (c == '^' || c == '$') refuse(std::string("an anchor, ") + c);
    if (c == '*' || c == '+' || c == '?') refuse("a repetition of nothing");
    if (c == '{') refuse("a { that repeats nothing");
    literal_character();
    return true;
  }

  bool group(bool caseless, int depth) {
    struct Kind {
      std::string_view begin;
      bool caseless, repeatable;
    };
    constexpr std::array<Kind, 8> kKinds = {{{"(?:", false, true},
                                             {"(?i:", true, true},
                                             {"(?>", false, true},
                                             {"(?=", false, false},
                                             {"(?!", false, false},
                                             {"(?<=", false, false},
                                             {"(?<!", false, false},
                                             {"(", false, true}}};
    for (const auto& kind : kKinds) {
      if (!take(kind.begin)) continue;
      if (kind.begin == "(" && peek() == '?') --at_, refuse("a group of another kind");
      icu_ += kind.begin;
      alternatives(caseless || kind.caseless, depth + 1);
      if (!take(")")) refuse("a group that does not end");
      icu_ += ')';
      return kind.repeatable;
    }
    return false;
  }

  void repetition(bool repeatable) {
    const char c = peek();
    const bool interval = c == '{';
    if (ends() || (c != '*' && c != '+' && c != '?' && !interval)) return;
    if (!repeatable) refuse("a repetition of what looks ahead or behind");
    if (interval) {
      const size_t end = regex_.find('}', at_);
      const auto inside =
          end == std::string_view::npos ? std::string_view() : regex_.substr(at_ + 1, end - at_ - 1);
      const size_t comma = inside.find(',');
      const auto least = inside.substr(0, comma);
      const auto most = comma == std::string_view::npos ? least : inside.substr(comma + 1);
      const auto number = [](std::string_view text) {
        return text.size() <= 4 &&
               std::all_of(text.begin(), text.end(), [](char digit) { return digit >= '0' && digit <= '9'; });
      };
      if (least.empty() || !number(least) || !number(most)) refuse("a { that gives no counts as {1,3} does");
      icu_ += std::string(regex_.substr(at_, end + 1 - at_));
      at_ = end + 1;
      if (peek() == '+') refuse("a + behind counts, which is possessive in one and repeats in the other");
      if (peek() == '?') refuse("a ? behind counts, which is lazy in one and makes optional in the other");
    } else {
      icu_ += regex_[at_++];
      if (peek() == '+' || peek() == '?') icu_ += regex_[at_++];  // possessive, lazy
    }
    if (!ends() && (peek() == '*' || peek() == '+' || peek() == '?' || peek() == '{'))
      refuse("a repetition of a repetition");
  }

  /// @param in_set where some escapes may be ends of a range
  void escape(bool caseless, bool in_set) {
    const char c = peek(1);
    const auto pass = [&](std::string_view icu) {
      at_ += 2;
      icu_ += icu;
    };
    if (at_ + 1 >= regex_.size()) refuse("a \\ at its end");
    switch (c) {
      case 's': return pass("\\p{White_Space}");
      case 'S': return pass("\\P{White_Space}");
      case 'd': return pass("\\p{Nd}");
      case 'D': return pass("\\P{Nd}");
      case 'w': return pass("[\\p{L}\\p{M}\\p{N}\\p{Pc}]");
      case 'W': return pass("[^\\p{L}\\p{M}\\p{N}\\p{Pc}]");
      case 't':
      case 'n':
      case 'r':
      case 'f': return pass(regex_.substr(at_, 2));
      case 'p':
      case 'P': return property(caseless);
      case 'x':
      case 'u': return number();
      default: break;
    }
    const bool plain = static_cast<unsigned char>(c) < 0x80 && !is_letter_or_digit(c);
    if (!plain) refuse(std::string("the escape \\") + c + (in_set ? " in a set" : ""));
    ++at_;
    literal_character();
  }

  void property(bool caseless) {
    const size_t end = regex_.find('}', at_);
    if (peek(2) != '{' || end == std::string_view::npos) refuse("a property without { }");
    auto name = regex_.substr(at_ + 3, end - at_ - 3);
    bool negative = peek(1) == 'P';
    if (name.starts_with('^')) negative = !negative, name.remove_prefix(1);
    if (std::find(kProperties.begin(), kProperties.end(), name) == kProperties.end())
      refuse("the property " + std::string(name));
    if (caseless) refuse("a property in a group that ignores case");
    icu_ += std::string(negative ? "\\P{" : "\\p{") + std::string(name) + '}';
    at_ = end + 1;
  }

  /// \x41, \x{1F600}, \u4E00
  void number() {
    const bool braces = take("\\x{");
    size_t digits = 2;
    if (!braces) {
      if (peek(1) == 'u') digits = 4;
      at_ += 2;
    }
    const size_t begin = at_;
    while (std::isxdigit(static_cast<unsigned char>(peek())) != 0 && at_ - begin < (braces ? 6 : digits))
      ++at_;
    const auto hex = regex_.substr(begin, at_ - begin);
    const bool whole = braces ? !hex.empty() && take("}") : hex.size() == digits;
    const auto code = whole ? std::stoul(std::string(hex), nullptr, 16) : 0;
    // Below U+0080 it may be no character but a byte of one in Oniguruma; surrogates are none in UTF-8.
    if (!whole || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000) ||
        (!braces && digits == 2 && code > 0x7F))
      refuse("a number of a character that is none");
    icu_ += "\\x{" + std::string(hex) + "}";
  }

  void set(bool caseless, int depth) {
    if (depth > kDeepest) refuse("sets more than " + std::to_string(kDeepest) + " deep");
    ++at_;
    icu_ += '[';
    const bool negative = take("^");
    if (negative) icu_ += '^';
    if (negative && caseless) refuse("a set of all but some characters in a group that ignores case");
    if (peek() == ']') refuse("a set that begins with ]");
    while (!ends() && peek() != ']') {
      if (take("[:space:]")) {
        icu_ += "\\p{White_Space}";
      } else if (peek() == '[' && peek(1) == ':') {
        refuse("a class of POSIX");
      } else if (peek() == '[') {
        set(caseless, depth + 1);
      } else if (peek() == '&' && peek(1) == '&') {
        refuse("an intersection of sets");
      } else {
        member(caseless);
      }
    }
    if (!take("]")) refuse("a set that does not end");
    icu_ += ']';
  }

  /// One member of a set, or a range of them.
  void member(bool caseless) {
    if (!one_of_set(caseless)) return;
    if (peek() != '-' || peek(1) == ']' || at_ + 1 >= regex_.size()) return;
    if (peek(1) == '[') refuse("a - in front of a set");
    ++at_;
    icu_ += '-';
    if (!one_of_set(caseless)) refuse("a range that ends with no character");
  }

  /// @return whether it may begin a range
  bool one_of_set(bool caseless) {
    if (peek() != '\\') return literal_character(), true;
    const char c = peek(1);
    escape(caseless, true);
    constexpr std::string_view kSets = "sSdDwWpP";
    return kSets.find(c) == std::string_view::npos;
  }

  std::string_view regex_;
  const std::string& where_;
  size_t at_ = 0;
  std::string icu_;
};

}  // namespace

std::string icu_pattern(const std::string& regex, const std::string& where) {
  return Translation(regex, where).all();
}

}  // namespace bilens
