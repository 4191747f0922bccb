#include "pre_tokenizer.h"

#include <algorithm>

#include "bilens/core/utf8.h"
#include "byte_alphabet.h"
#include "text_replacement.h"
#include "unicode.h"

namespace bilens {

namespace {

constexpr const char* kGpt2Words =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// What becomes of what a pattern finds.
enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

Behavior read_behavior(const JsonPart& part) {
  const auto name = part.text("behavior");
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  if (name == "Contiguous") return Behavior::kContiguous;
  throw part.at("behavior")
      .wrong(R"("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext" or "Contiguous")",
             "\"" + name + "\"");
}

struct Stretch {
  TextRange range;
  bool found = false;
};

/// The whole of a text: what was found, and what stands between.
std::vector<Stretch> cover(const std::vector<TextRange>& found, size_t size, bool invert) {
  std::vector<Stretch> all;
  size_t end = 0;
  for (const auto& range : found) {
    if (range.begin > end) all.push_back({{end, range.begin}, invert});
    all.push_back({range, !invert});
    end = range.end;
  }
  if (end < size) all.push_back({{end, size}, invert});
  return all;
}

/// The stretches with those merged that belong together, `backward` from the end to the beginning.
template <class Joins>
std::vector<Stretch> merge(std::vector<Stretch> all, bool backward, const Joins& joins) {
  if (backward) std::reverse(all.begin(), all.end());
  std::vector<Stretch> merged;
  bool found_before = false;
  for (const auto& stretch : all) {
    if (!merged.empty() && joins(stretch.found, found_before)) {
      auto& range = merged.back().range;
      (backward ? range.begin : range.end) = backward ? stretch.range.begin : stretch.range.end;
    } else {
      merged.push_back(stretch);
    }
    found_before = stretch.found;
  }
  if (backward) std::reverse(merged.begin(), merged.end());
  return merged;
}

using Find = std::function<std::vector<TextRange>(std::string_view)>;

std::vector<Stretch> divide(std::vector<Stretch> all, Behavior behavior) {
  const auto alone = [](bool found, bool found_before) { return found && !found_before; };
  const auto same = [](bool found, bool found_before) { return found == found_before; };
  switch (behavior) {
    case Behavior::kRemoved: std::erase_if(all, [](const auto& stretch) { return stretch.found; }); break;
    case Behavior::kIsolated: break;
    case Behavior::kMergedWithPrevious: return merge(std::move(all), false, alone);
    case Behavior::kMergedWithNext: return merge(std::move(all), true, alone);
    case Behavior::kContiguous: return merge(std::move(all), false, same);
  }
  return all;
}

void split_pieces(TextPieces& pieces, const Find& find, Behavior behavior, bool invert) {
  std::vector<TextPiece> parts;
  for (const auto& piece : pieces.pieces) {
    for (const auto& [range, found] : divide(cover(find(piece.text), piece.text.size(), invert), behavior)) {
      if (range.begin == range.end) continue;
      parts.push_back(
          {piece.text.substr(range.begin, range.end - range.begin), piece.begins_text && range.begin == 0});
    }
  }
  pieces.pieces = std::move(parts);
}

/// The characters that are so, each alone or in runs.
template <class Is>
Find characters(const Is& is, bool in_runs) {
  return [is, in_runs](std::string_view text) {
    std::vector<TextRange> found;
    for (size_t at = 0; at < text.size();) {
      const size_t begin = at;
      if (!is(next_character(text, at))) continue;
      if (in_runs && !found.empty() && found.back().end == begin) {
        found.back().end = at;
      } else {
        found.push_back({begin, at});
      }
    }
    return found;
  };
}

/// \w+|[^\w\s]+, as the Rust library's regular expressions read it.
std::vector<TextRange> find_words(std::string_view text) {
  std::vector<TextRange> found;
  const auto kind = [](char32_t character) {
    return is_word(character) ? 2 : is_white_space(character) ? 0 : 1;
  };
  int before = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const int now = kind(next_character(text, at));
    if (now != 0 && now == before) {
      found.back().end = at;
    } else if (now != 0) {
      found.push_back({begin, at});
    }
    before = now;
  }
  return found;
}

}  // namespace

PreTokenizer::PreTokenizer(const JsonPart& part, bool beginning_is_kept) {
  const auto parts = flatten_sequence(part, "pretokenizers");
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto& step = parts[i];
    const auto type = step.type();
    if (type == "Split") {
      add_split(step);
    } else if (type == "Digits") {
      const auto find = characters(is_numeric, !step.flag("individual_digits"));
      steps_.emplace_back([find](TextPieces& p) { split_pieces(p, find, Behavior::kIsolated, false); });
    } else if (type == "ByteLevel") {
      add_byte_level(step, i + 1 == parts.size());
      beginning_is_kept = false;
    } else if (type == "Metaspace") {
      add_metaspace(step, beginning_is_kept);
      beginning_is_kept = false;
    } else if (type == "Whitespace") {
      steps_.emplace_back([](TextPieces& p) { split_pieces(p, find_words, Behavior::kRemoved, true); });
    } else if (type == "Punctuation") {
      const auto behavior = step.find("behavior") ? read_behavior(step) : Behavior::kIsolated;
      const auto find = characters(is_punctuation, false);
      steps_.emplace_back([find, behavior](TextPieces& p) { split_pieces(p, find, behavior, false); });
    } else {
      throw step.unread(
          R"("Split", "Digits", "ByteLevel", "Metaspace", "Whitespace", "Punctuation" or "Sequence")");
    }
  }
}

void PreTokenizer::add_split(const JsonPart& part) {
  const auto pattern = read_pattern(part);
  const auto behavior = read_behavior(part);
  const bool invert = part.flag("invert");
  const Find find = [pattern](std::string_view text) { return pattern.find(text); };
  steps_.emplace_back([find, behavior, invert](TextPieces& p) { split_pieces(p, find, behavior, invert); });
}

void PreTokenizer::add_byte_level(const JsonPart& part, bool last) {
  byte_level_ = true;
  gives_bytes_ = last;
  if (part.flag("add_prefix_space")) {
    steps_.emplace_back([](TextPieces& p) {
      for (auto& piece : p.pieces)
        if (!piece.text.starts_with(' ')) piece.text = p.made.emplace_back(" " + std::string(piece.text));
    });
  }
  if (part.flag_or("use_regex", true)) {
    const auto pattern = Pattern::of_regex(kGpt2Words, part.where());
    const Find find = [pattern](std::string_view text) { return pattern.find(text); };
    steps_.emplace_back([find](TextPieces& p) { split_pieces(p, find, Behavior::kIsolated, false); });
  }
  if (last) return;
  steps_.emplace_back([](TextPieces& p) {
    for (auto& piece : p.pieces) piece.text = p.made.emplace_back(to_byte_characters(piece.text));
  });
}

void PreTokenizer::add_metaspace(const JsonPart& part, bool beginning_is_kept) {
  const auto replacement = part.text("replacement");
  if (replacement.empty() || utf8_length(static_cast<unsigned char>(replacement[0])) != replacement.size())
    throw part.at("replacement").wrong("one character", describe(part.at("replacement").json()));
  const auto old = part.find("add_prefix_space");
  const bool never = old && !part.flag("add_prefix_space");
  const auto named = part.find("prepend_scheme");
  const auto scheme = named ? named->as_text() : never ? "never" : "always";
  if (scheme != "first" && scheme != "never" && scheme != "always")
    throw named->wrong(R"("first", "never" or "always")", "\"" + scheme + "\"");
  if (never && scheme != "never")
    throw named->wrong("\"never\", as add_prefix_space is false", "\"" + scheme + "\"");
  if (scheme == "first" && !beginning_is_kept) {
    throw named->wrong(R"("never" or "always" behind what changes a text's beginning)", "\"first\"",
                       "In Python tokenize the text, and give token ids (tokens:FILE).");
  }
  steps_.emplace_back([replacement, scheme](TextPieces& p) {
    for (auto& piece : p.pieces) {
      std::string text;
      const bool prefix = scheme == "always" || (scheme == "first" && piece.begins_text);
      const bool has_it = piece.text.starts_with(' ') || piece.text.starts_with(replacement);
      if (prefix && !has_it) text = replacement;
      for (const char c : piece.text) c == ' ' ? text += replacement : text += c;
      piece.text = p.made.emplace_back(std::move(text));
    }
  });
  if (!part.flag_or("split", true)) return;
  const auto pattern = Pattern::of_string(replacement);
  const Find find = [pattern](std::string_view text) { return pattern.find(text); };
  steps_.emplace_back([find](TextPieces& p) { split_pieces(p, find, Behavior::kMergedWithNext, false); });
}

TextPieces PreTokenizer::operator()(std::string_view text, bool begins_text) const {
  TextPieces pieces;
  if (!text.empty()) pieces.pieces.push_back({text, begins_text});
  for (const auto& step : steps_) step(pieces);
  return pieces;
}

}  // namespace bilens
