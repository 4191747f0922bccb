#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bilens {

/// What stands behind a Tokenizer (data/tokenizer.h, which says what the functions do): a SentencePiece
/// model, or a tokenizer.json.
class TokenizerModel {
 public:
  virtual ~TokenizerModel() = default;

  virtual std::vector<int32_t> encode(std::string_view text) const = 0;
  /// What is put around a prompt. @throws Error(kBadInput) when BOS is wanted and there is none
  virtual std::vector<int32_t> before_prompt() const = 0;
  virtual std::vector<int32_t> behind_prompt() const { return {}; }
  /// @param ids all with a piece
  virtual std::string decode(const std::vector<int32_t>& ids) const = 0;
  /// Whether the text of these tokens may yet change where more follow: a character is not finished.
  virtual bool unfinished(const std::vector<int32_t>& ids) const = 0;

  virtual int64_t vocabulary_size() const = 0;
  /// Ids that every model must have: those of pieces, not of added tokens.
  virtual int64_t needed_size() const = 0;
  virtual int32_t bos() const = 0;
  virtual int32_t eos() const = 0;
  virtual int32_t unknown() const = 0;

  /// None for an id that is no piece's.
  virtual std::optional<std::string> piece(int32_t id) const = 0;
  virtual std::string shown(int32_t id) const = 0;
  virtual int32_t id_of(const std::string& piece) const = 0;
  virtual int32_t id_of_text(const std::string& text) const = 0;
  virtual int byte_of(int32_t id) const = 0;

  /// Without the added tokens of ids from `vocabulary` on, and their names as they are told; null where there
  /// are none.
  virtual std::shared_ptr<const TokenizerModel> within(int64_t vocabulary,
                                                       std::vector<std::string>& removed) const = 0;

  virtual const std::filesystem::path& path() const = 0;
  /// What counts beside it.
  virtual std::vector<std::filesystem::path> neighbours() const = 0;
};

/// Reads a SentencePiece model. @throws Error(kBadInput)
std::shared_ptr<const TokenizerModel> read_sentencepiece_model(const std::filesystem::path& file);
/// Reads a tokenizer.json. @throws Error(kBadInput)
std::shared_ptr<const TokenizerModel> read_json_tokenizer(const std::filesystem::path& file);

}  // namespace bilens
