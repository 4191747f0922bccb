#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "bilens/core/json.h"
#include "bilens/data/tokenizer.h"

namespace bilens {

/// Trains a SentencePiece BPE vocabulary with the settings of Llama's: identity normalisation, a space before
/// the text, digits apart, pieces of spaces alone, what has no piece spelled in bytes; <unk> 0, <s> 1,
/// </s> 2. The same text gives the same bytes.
/// @param stories UTF-8; a piece never crosses a line end
/// @return the content of a tokenizer.model
/// @throws Error(kUsage) when the text gives no vocabulary of that size.
std::string train_tokenizer(const std::vector<std::string_view>& stories, int64_t vocabulary);

/// Trains byte-level byte-pair encoding, as the Python package `tokenizers` does: of the pairs of neighbours
/// the most frequent becomes a piece, again and again. Words are Qwen's, each digit apart; <s> 0, </s> 1, the
/// 256 bytes. The same text gives the same file.
/// @param stories UTF-8
/// @return the content of a tokenizer.json
/// @throws Error(kUsage) when the text gives no vocabulary of that size
Json train_byte_level_tokenizer(const std::vector<std::string_view>& stories, int64_t vocabulary);

/// Fills a directory with tokenizer.json and the tokenizer_config.json with which transformers reads it.
void save_json_tokenizer(const std::filesystem::path& directory, const Json& tokenizer);
/// Fills a directory with tokenizer.model and the tokenizer_config.json with which transformers takes it for
/// a LlamaTokenizer.
void save_tokenizer(const std::filesystem::path& directory, const std::string& model);
/// The file beside a tokenizer that says how a conversation becomes text; kept as it is.
inline constexpr const char* kChatTemplate = "chat_template.jinja";
/// Fills a directory with what a tokenizer was read from, which may be a tokenizer.json, with what counts
/// beside it, and its chat template.
void save_tokenizer(const std::filesystem::path& directory, const Tokenizer& tokenizer);

}  // namespace bilens
