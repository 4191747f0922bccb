#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bilens/data/text_data.h"
#include "bilens/data/tokenizer.h"
#include "bilens/train/text_task.h"

namespace bilens {

/// What a config says of the text to train on, before any file is read. @param where of the config's "data"
/// @param has_tokenizer whether there is one, by this config or beside the model
/// @param knows_documents whether it is known which token begins one
/// @throws Error(kUsage)
void check_training_text(const TextDataConfig& data, const std::string& where, bool has_tokenizer,
                         bool knows_documents);

/// The parts of the text: with split "all" each for its purpose, with "train" the training part alone.
/// @param vocabulary of the model
/// @param begins_document of a token file
/// @param validation_tokens at most of that part
TextParts load_text_parts(const TextDataConfig& data, const std::optional<Tokenizer>& tokenizer,
                          int64_t vocabulary, const std::vector<int64_t>& begins_document,
                          int64_t validation_tokens);

/// Counts the sequences of one epoch, and holds the settings of the training against them.
/// @param where of the config's "train"
/// @throws Error(kUsage)
int64_t sequences_of_epoch(const TokenStream& text, const TextDataConfig& data, const TextTrainConfig& train,
                           const std::string& where);

/// The files that the parts are read from: the text or token file, and the tokenizer's.
std::vector<std::filesystem::path> text_files(const TextDataConfig& data,
                                              const std::optional<Tokenizer>& tokenizer);

}  // namespace bilens
