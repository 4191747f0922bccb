#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "bilens/run/outcome.h"

namespace bilens {

struct TokenizerRunOptions {
  std::string data;                   // SPEC, text:FILE
  std::optional<int64_t> vocabulary;  // number of pieces
  bool byte_level = false;            // a tokenizer.json rather than a SentencePiece model
  std::filesystem::path out;
  bool dry_run = false;
};

/// Trains a tokenizer on a text; its folder appears whole or not at all.
Outcome run_tokenizer_training(const TokenizerRunOptions& options);

}  // namespace bilens
