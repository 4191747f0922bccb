#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "json_part.h"

namespace bilens {

constexpr int32_t kLargestTokenId = (1 << 24) - 1;  // of the largest vocabulary that a model may have

/// Byte-pair encoding as a tokenizer.json has it: a word begins as characters, and of all pairs of neighbours
/// that may merge, the one of the lowest rank does, the leftmost first, until none may.
class BytePairModel {
 public:
  /// @param of_bytes whether words come as bytes, for which the pieces have the characters of the byte
  /// alphabet
  /// @throws Error(kBadInput) for another kind of model, a wrong field, an id or a piece twice, a merge of
  /// what is no piece or into none
  BytePairModel(const JsonPart& part, bool of_bytes);

  /// Appends the ids of a word. Several threads may call it at once.
  /// @throws Error(kBadInput) where a character is unknown and so is the model's unk_token
  void encode(std::string_view word, std::vector<int32_t>& ids) const;

  int32_t id_of(std::string_view piece) const;  // or -1
  /// The piece of an id, or null.
  const std::string* piece(int32_t id) const;
  /// How many pieces there are, which may leave ids free.
  size_t count() const { return ids_.size(); }
  int32_t largest_id() const { return static_cast<int32_t>(pieces_.size()) - 1; }
  int32_t unknown() const { return unknown_; }  // or -1
  bool falls_back_to_bytes() const { return byte_fallback_; }
  bool of_bytes() const { return of_bytes_; }

 private:
  struct Merge {
    uint32_t rank;
    int32_t id;
  };

  /// Merges by their pairs, open addressing.
  class Merges {
   public:
    void reserve(size_t count);
    void insert(int32_t left, int32_t right, Merge merge);  // in the place of one of the same pair
    const Merge* find(int32_t left, int32_t right) const;

   private:
    struct Slot {
      uint64_t pair = kFree;
      Merge merge{};
    };
    static constexpr uint64_t kFree = ~uint64_t{0};
    size_t slot_of(uint64_t pair) const;
    std::vector<Slot> slots_;
    int shift_ = 0;
  };

  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  template <class Value>
  using Map = std::unordered_map<std::string, Value, Hash, std::equal_to<>>;

  /// Words that were encoded before: some of them, each with its lock.
  struct Cache {
    std::mutex mutex;
    Map<std::vector<int32_t>> words;
  };

  void read_vocabulary(const JsonPart& part);
  void read_merges(const JsonPart& part);
  std::pair<std::string, std::string> read_merge(const JsonPart& merge) const;
  void add_joint(std::string_view left, std::string_view right);
  void encode_cached(std::string_view word, std::vector<int32_t>& ids) const;
  void encode_anew(std::string_view word, std::vector<int32_t>& ids) const;
  size_t end_of_stretch(std::string_view word, size_t begin) const;
  void begin(std::string_view word, std::vector<int32_t>& ids) const;
  void merge_few(std::vector<int32_t>& ids) const;
  void merge_many(std::vector<int32_t>& ids) const;

  std::string where_, unknown_name_;
  std::vector<std::string> pieces_;  // by id; "" for an id of none
  Map<int32_t> ids_;
  std::array<int32_t, 256> id_of_byte_;  // of the character that stands for a byte, or of an ASCII character
  std::array<int32_t, 256> fallback_;    // of <0x00> and on
  Merges merges_;
  Merges
      joints_;  // of characters that stand beside each other where a merge joins: one without an entry parts
  int32_t unknown_ = -1, empty_ = -1;
  bool of_bytes_, fuse_unknown_, byte_fallback_, ignore_merges_;
  std::unique_ptr<std::array<Cache, 16>> cache_ = std::make_unique<std::array<Cache, 16>>();
};

}  // namespace bilens
