#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bilens {

/// A SentencePiece model, and the tokens that stand beside it (data/added_tokens.h): text to token ids and
/// back. Copies share it; all functions may run on several threads at once.
class Tokenizer {
 public:
  /// @param path a SentencePiece model, or a model directory with a tokenizer.model. What stands beside a
  /// file of that name counts; any other file is taken alone.
  /// @throws Error(kBadInput): missing, damaged, or a format that is not read (tokenizer.json, llama2.c's
  /// tokenizer.bin).
  explicit Tokenizer(const std::filesystem::path& path);

  /// The text of an added or special token is that token, as transformers has it. Of a SentencePiece model
  /// alone names of special tokens in the text ("<s>") are text like any other. Bytes that are no UTF-8
  /// become U+FFFD.
  /// @return ids, without BOS
  std::vector<int32_t> encode(std::string_view text) const;
  /// The same after BOS. @throws Error(kBadInput) when the tokenizer has none.
  std::vector<int32_t> encode_with_bos(std::string_view text) const;
  /// A prompt as the model is given it: after BOS, unless tokenizer_config.json says `"add_bos_token":
  /// false`.
  /// @throws Error(kBadInput) when BOS is wanted and the tokenizer has none, or when no token is left.
  std::vector<int32_t> encode_prompt(std::string_view text) const;

  /// SentencePiece's control tokens are left out, and so is the space that encode() put before the text;
  /// added tokens are their text.
  /// @throws Error(kBadInput) for an id that is no piece's.
  std::string decode(const std::vector<int32_t>& ids) const;

  /// Number of ids, those of added tokens included.
  int64_t vocabulary_size() const;
  /// As tokenizer_config.json says, else as the model; -1 where there is none.
  int32_t bos() const;
  int32_t eos() const;
  int32_t unknown() const;

  /// @throws Error(kBadInput) when a model of this vocabulary cannot take all ids. @param model its name
  void require_fits(int64_t vocabulary, const std::string& model) const;
  /// Without the added tokens that a model of this vocabulary does not have: their text is text. Warns of
  /// them.
  Tokenizer within(int64_t vocabulary) const;

  /// The piece as the model names it: "▁This", "<0x0A>". @throws as decode
  std::string piece(int32_t id) const;
  /// The id of the piece of this very name, or -1.
  int32_t id_of(const std::string& piece) const;
  /// The byte that the piece stands for, or -1 when it is no byte.
  int byte_of(int32_t id) const;

  const std::filesystem::path& path() const;
  /// The model and what counts beside it.
  std::vector<std::filesystem::path> files() const;

 private:
  struct Model;
  Tokenizer(std::shared_ptr<const Model> model) : model_(std::move(model)) {}
  /// Whether an id is a SentencePiece piece by the same name, rather than an added token or none.
  bool is_piece(int32_t id) const;

  std::shared_ptr<const Model> model_;
};

/// Decodes tokens as they come: the parts together are what decode() gives for all of them. A character
/// spelled in bytes appears with its last one.
class StreamingDecoder {
 public:
  explicit StreamingDecoder(Tokenizer tokenizer);

  /// The text that is certain now; "" inside a character. @throws as Tokenizer::decode
  std::string next(int32_t id);
  /// What an unfinished character leaves: U+FFFD for each of its bytes.
  std::string finish();

 private:
  std::string text_of(const std::vector<int32_t>& ids);

  Tokenizer tokenizer_;
  std::vector<int32_t> anchor_;  // a token that stands for "some text before"
  std::string anchor_text_;
  std::vector<int32_t> start_;  // the tokens so far, while they have no text
  bool started_ = false;
  std::vector<int32_t> pending_;  // bytes of an unfinished character
};

}  // namespace bilens
