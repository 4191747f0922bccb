#pragma once

#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "json_part.h"
#include "pattern.h"

namespace bilens {

/// A part of a text that no merge of pieces crosses.
struct TextPiece {
  std::string_view text;
  bool begins_text = false;  // stands at byte 0 of the whole text
};

/// Pieces in their order, and the strings among them that are no part of the text.
struct TextPieces {
  std::vector<TextPiece> pieces;
  std::deque<std::string> made;
};

/// The pre-tokenizer of a tokenizer.json: Split, Digits, ByteLevel, Metaspace, Whitespace, Punctuation,
/// Sequence.
class PreTokenizer {
 public:
  PreTokenizer() = default;  // leaves the text whole
  /// @param beginning_is_kept whether the normalizer leaves the beginning of a text at its beginning, which
  /// Metaspace with "first" asks about
  /// @throws Error(kBadInput) for another kind, a wrong field, or a regular expression that is not read
  PreTokenizer(const JsonPart& part, bool beginning_is_kept);

  /// @param begins_text whether it stands at the beginning of the whole text
  TextPieces operator()(std::string_view text, bool begins_text) const;

  /// Whether pieces are bytes, for which the model has the characters of the byte alphabet: ByteLevel comes
  /// last. Where something follows it, it has put the characters in.
  bool gives_bytes() const { return gives_bytes_; }
  /// Whether ByteLevel is among them, so that pieces have the characters of the byte alphabet.
  bool byte_level() const { return byte_level_; }

 private:
  using Step = std::function<void(TextPieces&)>;
  void add_split(const JsonPart& part);
  void add_byte_level(const JsonPart& part, bool last);
  void add_metaspace(const JsonPart& part, bool beginning_is_kept);

  std::vector<Step> steps_;
  bool gives_bytes_ = false, byte_level_ = false;
};

}  // namespace bilens
