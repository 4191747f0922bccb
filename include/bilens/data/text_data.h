#pragma once

#include <ATen/core/ScalarType.h>

#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bilens/core/fields.h"
#include "bilens/data/token_stream.h"
#include "bilens/data/tokenizer.h"

namespace bilens {

/// Which part of the data.
enum class TextSplit { kAll, kTrain, kValidation, kTest };

/// As configs name it: "all", ...
std::string split_name(TextSplit split);

/// What attention sees of a window with several documents in it.
enum class Packing {
  kDocuments,  // each token its own document, positions counted from that one's start
  kPlain       // everything before it
};

/// What the file of a text holds.
enum class TextSet { kText, kTokens };

/// As configs name it: "text" or "tokens".
std::string set_name(TextSet set);

/// Which text or token file to read, and how it becomes sequences.
struct TextDataConfig {
  TextSet dataset = TextSet::kText;
  std::string path;
  std::string tokenizer;
  std::string keep_in;
  int64_t context = 512;
  TextSplit split = TextSplit::kAll;
  Packing packing = Packing::kDocuments;
  double held_out = 0.05;
  std::optional<at::ScalarType> dtype;    // of a headerless token file; not given: by the vocabulary
  std::optional<int64_t> document_token;  // the id that begins a document of a token file

  static const FieldTable<TextDataConfig>& fields();
};

/// The stories of a text, stripped of white space, empty ones left out: views of it.
std::vector<std::string_view> split_stories(std::string_view text);

/// The part that a story belongs to: its SHA-256's first 8 hexadecimal digits as a number modulo 20; 0 is
/// test, 1 validation, all else train. @param story stripped
TextSplit part_of_story(std::string_view story);

/// The text of a file, plain or gzip, as Python's open(path, encoding="utf-8-sig") reads it: without a
/// byte-order mark at its start, each \r\n and \r as \n. @throws Error(kBadInput): missing, damaged, empty,
/// not UTF-8.
std::string read_utf8(const std::filesystem::path& path);

/// Reads `text:` data: stories separated by <|endoftext|>, those of the part in the file's order, BOS before
/// each, nothing between them. Encodes on all cores.
/// @param enough it stops behind some story when it has so many tokens; where they are kept (KeptTokens), all
/// are made
/// @throws Error(kBadInput): as read_utf8, no story in the part, a tokenizer without BOS.
TokenStream load_text(const TextDataConfig& config, const Tokenizer& tokenizer,
                      int64_t enough = std::numeric_limits<int64_t>::max());

}  // namespace bilens
