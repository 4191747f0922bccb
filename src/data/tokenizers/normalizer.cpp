#include "normalizer.h"

#include "text_replacement.h"
#include "unicode.h"

namespace bilens {

namespace {

std::string strip_white_space(const std::string& text, bool left, bool right) {
  size_t begin = 0, end = text.size();
  while (left && begin < end) {
    size_t next = begin;
    if (!is_white_space(next_character(text, next))) break;
    begin = next;
  }
  while (right && begin < end) {
    size_t start = end - 1, next = 0;
    while ((text[start] & 0xC0) == 0x80) --start;
    next = start;
    if (!is_white_space(next_character(text, next))) break;
    end = start;
  }
  return text.substr(begin, end - begin);
}

}  // namespace

Normalizer::Normalizer(const JsonPart& part) {
  for (const auto& step : flatten_sequence(part, "normalizers")) add(step);
}

void Normalizer::add(const JsonPart& part) {
  const auto type = part.type();
  const auto form = [&](NormalForm form) {
    steps_.emplace_back([form](const std::string& text) { return normalize(text, form); });
  };
  if (type == "NFC") return form(NormalForm::kNfc);
  if (type == "NFD") return form(NormalForm::kNfd);
  if (type == "NFKC") return form(NormalForm::kNfkc);
  if (type == "NFKD") return form(NormalForm::kNfkd);
  if (type == "Lowercase") {
    steps_.emplace_back([](const std::string& text) { return lowercase(text); });
    return;
  }
  keeps_beginning_ = false;
  if (type == "Replace") {
    steps_.emplace_back(TextReplacement(part));
  } else if (type == "Prepend") {
    steps_.emplace_back([prefix = part.text("prepend")](const std::string& text) {
      return text.empty() ? text : prefix + text;
    });
  } else if (type == "Strip") {
    steps_.emplace_back([left = part.flag("strip_left"), right = part.flag("strip_right")](
                            const std::string& text) { return strip_white_space(text, left, right); });
  } else {
    throw part.unread(
        R"("NFC", "NFD", "NFKC", "NFKD", "Replace", "Prepend", "Lowercase", "Strip" or "Sequence")");
  }
}

std::string Normalizer::operator()(std::string text) const {
  for (const auto& step : steps_) text = step(std::move(text));
  return text;
}

}  // namespace bilens
