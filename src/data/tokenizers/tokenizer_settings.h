#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "added_vocabulary.h"

namespace bilens {

/// What tokenizer_config.json and special_tokens_map.json say beside a tokenizer.json. Of add_bos_token and
/// add_eos_token nothing is read: as in transformers, the template of the tokenizer.json decides.
struct TokenizerSettings {
  std::optional<std::string> bos, eos, unknown;
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
