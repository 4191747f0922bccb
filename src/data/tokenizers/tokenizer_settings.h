#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "added_vocabulary.h"

namespace bilens {

/// What tokenizer_config.json and special_tokens_map.json say beside a tokenizer.json.
struct TokenizerSettings {
  std::optional<std::string> bos, eos, unknown;
  /// Whether a text is put behind BOS and before EOS; where neither is said, the tokenizer.json decides.
  std::optional<bool> add_bos, add_eos;
  std::vector<AddedPiece> added;  // by rising id
  std::string added_where;
  std::vector<std::filesystem::path> files;  // those that are there

  TokenizerSettings() = default;
  /// @throws Error(kBadInput) for a damaged file
  explicit TokenizerSettings(const std::filesystem::path& folder);

 private:
  void read(const std::filesystem::path& file);
};

}  // namespace bilens
