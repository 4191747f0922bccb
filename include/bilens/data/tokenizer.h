#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bilens {

class TokenizerModel;  // what stands behind one: src/data/tokenizers

/// Text to token ids and back: a SentencePiece model, or a tokenizer.json of Hugging Face's tokenizers, and
/// what stands beside it. Copies share it; all functions may run on several threads at once.
class Tokenizer {
 public:
  /// @param path a SentencePiece model, a tokenizer.json, or a model directory with one of both, of which a
  /// tokenizer.model is taken first. What stands beside a file of these names counts; any other file is taken
  /// alone.
  /// @throws Error(kBadInput): missing, damaged, or of a kind that is not read
  explicit Tokenizer(const std::filesystem::path& path);
  /// Whether a folder has a tokenizer.
  static bool is_beside(const std::filesystem::path& folder);

  /// The text of an added or special token is that token, as transformers has it. Of a SentencePiece model
  /// alone names of special tokens in the text ("<s>") are text like any other. Bytes that are no UTF-8
  /// become U+FFFD.
  /// @return ids, without BOS
  std::vector<int32_t> encode(std::string_view text) const;
  /// The ids of encode() after BOS, or where the tokenizer has none after EOS, as documents begin in token
  /// files.
  /// @throws Error(kBadInput) when the tokenizer has neither.
  std::vector<int32_t> encode_document(std::string_view text) const;
  /// A prompt as the model is given it, which is what transformers makes of a text. Of a SentencePiece
  /// model: after BOS, unless tokenizer_config.json says `"add_bos_token": false`. Of a tokenizer.json: as
  /// its template says.
  /// @throws Error(kBadInput) when BOS is wanted and the tokenizer has none, or when no token is left.
  std::vector<int32_t> encode_prompt(std::string_view text) const;

  /// The text of these tokens. A SentencePiece model leaves out control tokens and the space that encode()
  /// put before the text; added tokens are their text. A tokenizer.json leaves out its special tokens.
  /// @throws Error(kBadInput) for an id that is no piece's.
  std::string decode(const std::vector<int32_t>& ids) const;
  /// Whether the text of these tokens may yet change where more follow, as their last character is not
  /// finished.
  bool unfinished(const std::vector<int32_t>& ids) const;

  /// The largest id, those of added tokens included, and 1.
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

  /// Whether an id is a piece's or an added token's; a tokenizer.json may leave ids free.
  bool has(int32_t id) const;
  /// The piece as the model names it: "▁This", "ĠThis", "<0x0A>". @throws as decode
  std::string piece(int32_t id) const;
  /// The piece as people read it, with ▁ for a space: "▁This", "<0x0A>". @throws as decode
  std::string shown(int32_t id) const;
  /// The id of the piece of this very name, or -1.
  int32_t id_of(const std::string& piece) const;
  /// The id of a word that is one piece, or -1: "cat" and " cat" are the piece that begins a word, where
  /// there is one, else "cat" is the piece "cat". Pieces may be given as they are named or shown.
  int32_t id_of_word(const std::string& word) const;
  /// The byte that the piece stands for, or -1 when it is no byte.
  int byte_of(int32_t id) const;

  const std::filesystem::path& path() const;
  /// The model and what counts beside it.
  std::vector<std::filesystem::path> files() const;

 private:
  Tokenizer(std::shared_ptr<const TokenizerModel> model) : model_(std::move(model)) {}

  std::shared_ptr<const TokenizerModel> model_;
};

/// Decodes tokens as they come: the parts together are what decode() gives for all of them. A character
/// spelled in several tokens appears with its last one; of a tokenizer.json that spells in bytes, once none
/// follows.
class StreamingDecoder {
 public:
  explicit StreamingDecoder(Tokenizer tokenizer);

  /// The text that is certain now; "" inside a character, and as long as it may change. @throws as
  /// Tokenizer::decode
  std::string next(int32_t id);
  /// The text of what is left: U+FFFD for an unfinished character.
  std::string finish();

 private:
  std::string text_of(const std::vector<int32_t>& ids);

  Tokenizer tokenizer_;
  std::vector<int32_t> anchor_;  // a token that stands for "some text before"
  std::string anchor_text_;
  std::vector<int32_t> start_;  // the tokens so far, while they have no text
  bool started_ = false;
  std::vector<int32_t> pending_;  // those of an unfinished character
};

}  // namespace bilens
