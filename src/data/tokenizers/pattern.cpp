#include "pattern.h"

#include <unicode/uregex.h>

#include <algorithm>
#include <mutex>

#include "bilens/core/error.h"
#include "pattern_syntax.h"
#include "unicode.h"

namespace bilens {

namespace {

constexpr int32_t kStackBytes =
    256 << 20;  // a group that is repeated over a million characters takes some 100
// ICU counts in units of 10,000 steps, some milliseconds each. A text may take so many in one search.
constexpr int32_t kLeastTime = 200;
constexpr size_t kCharactersPerTime = 2000;

}  // namespace

/// Matchers of one expression; each serves one thread at a time.
struct Pattern::Regex {
  struct Closer {
    void operator()(URegularExpression* regex) const { uregex_close(regex); }
  };
  using Matcher = std::unique_ptr<URegularExpression, Closer>;

  std::string expression, where;
  std::mutex mutex;
  std::vector<Matcher> idle;

  Error failure(const std::string& found, const std::string& fix) const {
    return Error(ExitCode::kBadInput, {where, "a regular expression", expression + ", " + found, fix});
  }

  void compile() {
    const auto text = to_utf16(icu_pattern(expression, where));
    UErrorCode status = U_ZERO_ERROR;
    UParseError place;
    Matcher matcher(
        uregex_open(text.data(), static_cast<int32_t>(text.size()), UREGEX_UNIX_LINES, &place, &status));
    if (U_FAILURE(status)) {
      throw failure("which does not compile (" + std::string(u_errorName(status)) + ")",
                    "Obtain the file again.");
    }
    idle.push_back(std::move(matcher));
  }

  Matcher take() {
    const std::lock_guard lock(mutex);
    auto matcher = std::move(idle.back());
    idle.pop_back();
    if (!idle.empty()) return matcher;
    UErrorCode status = U_ZERO_ERROR;  // the last one stays, to be copied
    idle.emplace_back(uregex_clone(matcher.get(), &status));
    if (U_FAILURE(status)) throw std::bad_alloc();
    return matcher;
  }

  void give_back(Matcher matcher) {
    UErrorCode status = U_ZERO_ERROR;
    uregex_setText(matcher.get(), u"", 0, &status);  // the text goes before it does
    const std::lock_guard lock(mutex);
    idle.push_back(std::move(matcher));
  }
};

Pattern Pattern::of_string(std::string text) {
  Pattern pattern;
  pattern.string_ = std::move(text);
  return pattern;
}

Pattern Pattern::of_regex(const std::string& regex, const std::string& where) {
  Pattern pattern;
  pattern.regex_ = std::make_shared<Regex>();
  pattern.regex_->expression = regex;
  pattern.regex_->where = where;
  pattern.regex_->compile();
  return pattern;
}

std::vector<TextRange> Pattern::find(std::string_view text) const {
  std::vector<TextRange> found;
  if (!regex_) {
    if (string_.empty()) return found;
    for (size_t at = 0; (at = text.find(string_, at)) != std::string_view::npos; at += string_.size())
      found.push_back({at, at + string_.size()});
    return found;
  }
  thread_local std::u16string wide;
  to_utf16(text, wide);
  auto matcher = regex_->take();
  UErrorCode status = U_ZERO_ERROR;
  auto* const regex = matcher.get();
  const auto limit = std::min<size_t>(kLeastTime + wide.size() / kCharactersPerTime, 1 << 30);
  uregex_setStackLimit(regex, kStackBytes, &status);
  uregex_setTimeLimit(regex, static_cast<int32_t>(limit), &status);
  uregex_setText(regex, wide.data(), static_cast<int32_t>(wide.size()), &status);
  const bool narrow = wide.size() == text.size();  // all of it ASCII
  size_t unit = 0, byte = 0;                       // where both stand in the two forms of the text
  const auto byte_of = [&](int32_t target) {
    const auto to = static_cast<size_t>(target);
    if (narrow) return to;
    while (unit < to) {
      const auto lead = static_cast<unsigned char>(text[byte]);
      byte += lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
      unit += lead < 0xF0 ? 1 : 2;
    }
    return byte;
  };
  int32_t last_end = -1;
  while (uregex_findNext(regex, &status)) {
    const int32_t begin = uregex_start(regex, 0, &status), end = uregex_end(regex, 0, &status);
    // Oniguruma's search in the Rust library leaves out an empty match right behind another.
    if (begin == end && begin == last_end) continue;
    const size_t first = byte_of(begin);
    found.push_back({first, byte_of(end)});
    last_end = end;
  }
  regex_->give_back(std::move(matcher));
  if (U_FAILURE(status)) {
    const bool slow = status == U_REGEX_TIME_OUT;
    throw regex_->failure(
        slow ? "which takes too long on a text" : "which takes too much memory on a text",
        "Shorten the text; an expression that nests repetitions can take exponential time.");
  }
  return found;
}

}  // namespace bilens
