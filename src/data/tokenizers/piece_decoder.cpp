#include "piece_decoder.h"

#include <charconv>

#include "bilens/core/utf8.h"
#include "byte_alphabet.h"
#include "text_replacement.h"
#include "unicode.h"

namespace bilens {

namespace {

constexpr const char* kReplacement = "\xEF\xBF\xBD";  // U+FFFD

void fuse(std::vector<std::string>& pieces) {
  std::string all;
  for (const auto& piece : pieces) all += piece;
  pieces = {std::move(all)};
}

/// The bytes that a piece stands for; one with another character is those of its text.
std::string bytes_of(const std::string& piece) { return from_byte_characters(piece).value_or(piece); }

void decode_byte_level(std::vector<std::string>& pieces) {
  std::string bytes;
  for (const auto& piece : pieces) bytes += bytes_of(piece);
  pieces = {replace_invalid_utf8(bytes)};
}

/// The byte of "<0x0A>", or -1.
int byte_of_piece(const std::string& piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece.back() != '>') return -1;
  unsigned byte = 0;
  const char* const end = piece.data() + 5;
  // The Rust library's numbers may begin with a +.
  const char* const begin = piece.data() + (piece[3] == '+' ? 4 : 3);
  const auto read = std::from_chars(begin, end, byte, 16);
  return read.ec == std::errc() && read.ptr == end ? static_cast<int>(byte) : -1;
}

void decode_byte_fallback(std::vector<std::string>& pieces) {
  std::vector<std::string> texts;
  std::string bytes;
  const auto flush = [&] {
    if (!bytes.empty() && !first_invalid_utf8(bytes)) {
      texts.push_back(bytes);
    } else {
      texts.insert(texts.end(), bytes.size(), kReplacement);
    }
    bytes.clear();
  };
  for (auto& piece : pieces) {
    const int byte = byte_of_piece(piece);
    if (byte >= 0) {
      bytes += static_cast<char>(byte);
      continue;
    }
    flush();
    texts.push_back(std::move(piece));
  }
  flush();
  pieces = std::move(texts);
}

std::string strip_ends(const std::string& text, const std::string& content, int64_t start, int64_t stop) {
  std::string_view rest = text;
  for (int64_t i = 0; i < start && rest.starts_with(content); ++i) rest.remove_prefix(content.size());
  for (int64_t i = 0; i < stop && rest.ends_with(content); ++i) rest.remove_suffix(content.size());
  return std::string(rest);
}

std::string read_character(const JsonPart& part, const std::string& key) {
  auto text = part.text(key);
  if (text.empty() || utf8_length(static_cast<unsigned char>(text[0])) != text.size())
    throw part.at(key).wrong("one character", describe(part.at(key).json()));
  return text;
}

}  // namespace

PieceDecoder::PieceDecoder(const JsonPart& part) {
  for (const auto& step : flatten_sequence(part, "decoders")) add(step);
}

void PieceDecoder::add(const JsonPart& part) {
  const auto type = part.type();
  if (byte_level_) streams_ = false;  // what follows sees the whole text
  if (type == "ByteLevel") {
    if (byte_fallback_ || fused_) streams_ = false;
    byte_level_ = fused_ = true;
    steps_.emplace_back(decode_byte_level);
  } else if (type == "ByteFallback") {
    if (fused_) streams_ = false;
    byte_fallback_ = true;
    steps_.emplace_back(decode_byte_fallback);
  } else if (type == "Fuse") {
    fused_ = true;
    steps_.emplace_back(fuse);
  } else if (type == "Strip") {
    const auto content = read_character(part, "content");
    const int64_t start = part.integer("start", 0, INT32_MAX), stop = part.integer("stop", 0, INT32_MAX);
    if (fused_ && stop > 0) streams_ = false;
    steps_.emplace_back([content, start, stop](std::vector<std::string>& pieces) {
      for (auto& piece : pieces) piece = strip_ends(piece, content, start, stop);
    });
  } else if (type == "Replace") {
    const TextReplacement replacement(part);
    if (fused_ && !replacement.of_one_character()) streams_ = false;
    steps_.emplace_back([replacement](std::vector<std::string>& pieces) {
      for (auto& piece : pieces) piece = replacement(piece);
    });
  } else if (type == "Metaspace") {
    const auto content = read_character(part, "replacement");
    const auto named = part.find("prepend_scheme");
    const bool never = named ? named->as_text() == "never" : !part.flag_or("add_prefix_space", true);
    steps_.emplace_back([content, never](std::vector<std::string>& pieces) {
      for (size_t i = 0; i < pieces.size(); ++i) {
        std::string text;
        for (size_t at = 0; at < pieces[i].size();) {
          if (pieces[i].compare(at, content.size(), content) != 0) {
            text += pieces[i][at++];
            continue;
          }
          if (i > 0 || never) text += ' ';
          at += content.size();
        }
        pieces[i] = std::move(text);
      }
    });
  } else {
    throw part.unread(
        R"("ByteLevel", "ByteFallback", "Fuse", "Strip", "Replace", "Metaspace" or "Sequence")");
  }
}

std::string PieceDecoder::operator()(std::vector<std::string> pieces) const {
  for (const auto& step : steps_) step(pieces);
  std::string text;
  for (size_t i = 0; i < pieces.size(); ++i) text += (steps_.empty() && i > 0 ? " " : "") + pieces[i];
  return text;
}

bool PieceDecoder::unfinished(const std::vector<std::string>& pieces) const {
  if (pieces.empty()) return false;
  if (!streams_) return true;
  if (byte_fallback_) return byte_of_piece(pieces.back()) >= 0;
  if (!byte_level_) return false;
  std::string bytes;
  for (const auto& piece : pieces) bytes += bytes_of(piece);
  return unfinished_utf8(bytes) > 0;
}

}  // namespace bilens
