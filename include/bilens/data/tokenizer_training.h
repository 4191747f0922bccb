#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "bilens/data/tokenizer.h"

namespace bilens {

/// Trains a SentencePiece BPE vocabulary with the settings of Llama's: identity normalisation, a space before
/// the text, digits apart, pieces of spaces alone, what has no piece spelled in bytes; <unk> 0, <s> 1,
/// </s> 2. The same text gives the same bytes.
/// @param stories UTF-8; a piece never crosses a line end
/// @return the content of a tokenizer.model
/// @throws Error(kUsage) when the text gives no vocabulary of that size.
std::string train_tokenizer(const std::vector<std::string_view>& stories, int64_t vocabulary);

/// Fills a directory with tokenizer.model and the tokenizer_config.json with which transformers takes it for
/// a LlamaTokenizer.
void save_tokenizer(const std::filesystem::path& directory, const std::string& model);
/// The same with what a tokenizer was read from, which may be a tokenizer.json, and with what counts beside
/// it.
void save_tokenizer(const std::filesystem::path& directory, const Tokenizer& tokenizer);

}  // namespace bilens
