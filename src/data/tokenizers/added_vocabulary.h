#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "byte_pair_model.h"
#include "json_part.h"
#include "normalizer.h"

namespace bilens {

/// A token of a tokenizer.json's added_tokens, which a text names by its very content.
struct AddedPiece {
  std::string content;
  int32_t id = -1;
  bool single_word = false;                        // not where a word goes on beside it
  bool strips_left = false, strips_right = false;  // takes the white space beside it
  bool normalized = false;                         // is looked for in the normalized text
  bool special = false;                            // is left out of decoded texts

  bool operator==(const AddedPiece&) const = default;
};

/// Looks for several contents at once: at each place for the longest.
class ContentFinder {
 public:
  void add(std::string_view content, size_t token);
  bool empty() const { return nodes_.size() == 1; }
  /// The next of the contents from a place on: where it stands, and whose it is; token npos for none.
  struct Found {
    size_t begin = 0, end = 0, token = std::string_view::npos;
  };
  Found next(std::string_view text, size_t from) const;

 private:
  struct Node {
    std::vector<std::pair<unsigned char, size_t>> next;
    size_t token = std::string_view::npos;
  };
  std::vector<Node> nodes_ = {Node()};
  std::array<bool, 256> begins_ = {};
};

/// The added tokens of a tokenizer.json.
class AddedVocabulary {
 public:
  AddedVocabulary() = default;
  /// @param list added_tokens of the file @throws Error(kBadInput) for a wrong field, an id that is another
  /// piece's, or one that the library would change because it does not follow those before
  AddedVocabulary(const JsonPart& list, const BytePairModel& model, const Normalizer& normalizer);

  /// Takes tokens over as tokenizer_config.json has them, which may be there with other flags.
  /// @throws as the constructor
  void take(const std::vector<AddedPiece>& tokens, const std::string& where, const BytePairModel& model,
            const Normalizer& normalizer);
  /// Leaves out the tokens of ids from `vocabulary` on; returns them.
  std::vector<AddedPiece> remove_from(int64_t vocabulary, const Normalizer& normalizer);

  const AddedPiece* find(int32_t id) const;
  int32_t id_of(std::string_view content) const;
  int32_t largest_id() const;

  /// A text in parts: a token's (id at least 0), or what stands between.
  struct Part {
    std::string_view text;
    int32_t id = -1;
  };
  std::vector<Part> split(std::string_view text, bool normalized) const;

 private:
  void add(const AddedPiece& token, const std::string& where, const BytePairModel& model);
  void build_finders(const Normalizer& normalizer);

  std::vector<AddedPiece> tokens_;
  std::unordered_map<int32_t, size_t> by_id_;
  ContentFinder plain_, normalized_;
};

/// One token from its object, {"content": "<s>", "lstrip": false, ...}. @param id of it
AddedPiece read_added_piece(const JsonPart& part, int32_t id);

}  // namespace bilens
