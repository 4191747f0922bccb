#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bilens {

/// A token that a text names by its very content, whatever the pieces around it.
struct AddedToken {
  std::string content;
  int32_t id = -1;
  bool strips_left = false, strips_right = false;  // takes the white space beside it
  bool late = false;                               // is looked for behind all others ("normalized")
};

/// What stands beside a SentencePiece model in the Hugging Face layout: added_tokens.json, and of
/// tokenizer_config.json added_tokens_decoder and the special tokens.
class AddedTokens {
 public:
  AddedTokens() = default;
  /// None where none of the files is there, so that a model alone is SentencePiece's and nothing else.
  /// @param special the model's own special pieces (<s>, ...), which then are tokens too
  /// @param id_of_piece the id of a piece, or -1: the files name special tokens by their content alone
  /// @throws Error(kBadInput) for a damaged file, two contents of one id, two ids of one content
  AddedTokens(const std::filesystem::path& folder, const std::vector<AddedToken>& special,
              const std::function<int32_t(const std::string&)>& id_of_piece);

  bool empty() const { return tokens_.empty(); }
  const std::vector<AddedToken>& tokens() const { return tokens_; }
  /// The token of this id, or null.
  const AddedToken* find(int32_t id) const;
  /// The id of this content, or -1.
  int32_t id_of(const std::string& content) const;
  /// Ids of the tokens that the configuration calls bos_token and eos_token.
  std::optional<int32_t> bos() const { return bos_; }
  std::optional<int32_t> eos() const { return eos_; }
  /// Whether a prompt begins with BOS: not where the configuration says `"add_bos_token": false`.
  bool begins_with_bos() const { return begins_with_bos_; }
  /// Whether a text behind one of the tokens is given a space in front, as the text's beginning is.
  bool prefix_behind() const { return legacy_; }
  /// What was read.
  const std::vector<std::filesystem::path>& files() const { return files_; }

  /// Leaves out the tokens of ids from `vocabulary` on; returns them.
  std::vector<AddedToken> remove_from(int64_t vocabulary);

  /// A text in parts: a token's (id at least 0), or what stands between.
  struct Part {
    std::string_view text;
    int32_t id = -1;
  };
  /// At each place the longest token, as the Rust library `tokenizers` splits.
  std::vector<Part> split(std::string_view text) const;

 private:
  void read_config(const std::filesystem::path& file,
                   const std::function<int32_t(const std::string&)>& id_of_piece);
  void add(const AddedToken& token, const std::filesystem::path& file);
  bool has_id(int32_t id) const;
  const AddedToken* match(std::string_view text, bool late) const;
  void split_part(std::string_view text, bool late, std::vector<Part>& parts) const;

  std::vector<AddedToken> tokens_;  // by falling length of the content
  std::map<int32_t, size_t> places_;
  std::optional<int32_t> bos_, eos_;
  bool legacy_ = false, begins_with_bos_ = true;
  std::vector<std::filesystem::path> files_;
};

}  // namespace bilens
