#include "tokenizer_settings.h"

#include <algorithm>
#include <charconv>

namespace bilens {

namespace fs = std::filesystem;

namespace {

/// A token's content: a string, or an object with one.
void take_content(const JsonPart& part, const std::string& key, std::optional<std::string>& content) {
  const auto token = part.find(key);
  if (!token) return;
  content = token->json().is_object() ? token->text("content") : token->as_text();
}

std::vector<AddedPiece> read_decoder(const JsonPart& decoder) {
  std::vector<AddedPiece> tokens;
  for (const auto& [key, json] : decoder.require_object().json().items()) {
    int32_t id = -1;
    const auto read = std::from_chars(key.data(), key.data() + key.size(), id);
    if (read.ec != std::errc() || read.ptr != key.data() + key.size() || id < 0 || id > kLargestTokenId)
      throw decoder.wrong("token ids from 0 to " + std::to_string(kLargestTokenId), "\"" + key + "\"");
    tokens.push_back(read_added_piece(decoder.at(key), id));
  }
  std::sort(tokens.begin(), tokens.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return tokens;
}

}  // namespace

TokenizerSettings::TokenizerSettings(const fs::path& folder) {
  // The second counts where both say something.
  for (const char* name : {"special_tokens_map.json", "tokenizer_config.json"})
    if (fs::exists(folder / name)) read(folder / name);
}

void TokenizerSettings::read(const fs::path& file) {
  files.push_back(file);
  const Json json = read_json(file, ExitCode::kBadInput);
  const JsonPart part(json, file);
  part.require_object();
  take_content(part, "bos_token", bos);
  take_content(part, "eos_token", eos);
  take_content(part, "unk_token", unknown);
  if (const auto decoder = part.find("added_tokens_decoder")) {
    added = read_decoder(*decoder);
    added_where = decoder->where();
  }
}

}  // namespace bilens
