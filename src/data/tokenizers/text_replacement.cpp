#include "text_replacement.h"

#include "bilens/core/utf8.h"

namespace bilens {

Pattern read_pattern(const JsonPart& part) {
  const auto pattern = part.at("pattern");
  if (const auto string = pattern.find("String")) {
    if (string->as_text().empty()) throw string->wrong("a text that is not empty", "\"\"");
    return Pattern::of_string(string->as_text());
  }
  if (const auto regex = pattern.find("Regex")) return Pattern::of_regex(regex->as_text(), regex->where());
  throw pattern.wrong("{\"String\": ...} or {\"Regex\": ...}", describe(pattern.json()));
}

TextReplacement::TextReplacement(const JsonPart& part)
    : pattern_(read_pattern(part)), content_(part.text("content")) {
  const auto string = part.at("pattern").find("String");
  if (!string && content_.find('$') != std::string::npos) {
    throw part.at("content").wrong("a text without $", describe(part.at("content").json()),
                                   "Groups of a regular expression are not read in a Replace.");
  }
  if (!string) return;
  const auto text = string->as_text();
  of_one_character_ = !text.empty() && utf8_length(static_cast<unsigned char>(text[0])) == text.size();
}

std::string TextReplacement::operator()(const std::string& text) const {
  const auto found = pattern_.find(text);
  if (found.empty()) return text;
  std::string replaced;
  size_t end = 0;
  for (const auto& range : found) {
    replaced.append(text, end, range.begin - end).append(content_);
    end = range.end;
  }
  return replaced.append(text, end, text.size() - end);
}

}  // namespace bilens
