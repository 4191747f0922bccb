#include "byte_pair_model.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <queue>
#include <utility>

#include "bilens/core/utf8.h"
#include "byte_alphabet.h"
#include "unicode.h"

namespace bilens {

namespace {

constexpr size_t kLongestCached = 256;  // bytes of a word
constexpr size_t kCachedWords = 8192;   // in each part of the cache
constexpr size_t kLongestWhole = 32;    // bytes of a word that is not looked at for joints
constexpr size_t kFew = 48;             // symbols, of which the best pair is found by looking at all
constexpr uint32_t kNoRank = UINT32_MAX;

std::string byte_piece(size_t byte) {
  char name[8];
  std::snprintf(name, sizeof name, "<0x%02zX>", byte);
  return name;
}

void refuse_other_models(const JsonPart& part) {
  if (const auto type = part.find("type"); type && type->as_text() != "BPE") throw part.unread("\"BPE\"");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const auto found = part.find(key);
    if (found && !found->as_text().empty())
      throw found->wrong("none", describe(found->json()), "Models with one are not read.");
  }
  const auto dropout = part.find("dropout");
  if (dropout && dropout->json() != 0)
    throw dropout->wrong("null", describe(dropout->json()),
                         "Merges that are left out at random are not read.");
}

}  // namespace

void BytePairModel::Merges::reserve(size_t count) {
  const size_t size = std::bit_ceil(2 * count + 2);
  slots_.resize(size);
  shift_ = 64 - std::countr_zero(size);
}

size_t BytePairModel::Merges::slot_of(uint64_t pair) const {
  size_t slot = static_cast<size_t>((pair * 0x9E3779B97F4A7C15ULL) >> shift_);
  while (slots_[slot].pair != pair && slots_[slot].pair != kFree) slot = (slot + 1) & (slots_.size() - 1);
  return slot;
}

void BytePairModel::Merges::insert(int32_t left, int32_t right, Merge merge) {
  const uint64_t pair = static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
  slots_[slot_of(pair)] = {pair, merge};
}

const BytePairModel::Merge* BytePairModel::Merges::find(int32_t left, int32_t right) const {
  const auto& slot = slots_[slot_of(static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right))];
  return slot.pair == kFree ? nullptr : &slot.merge;
}

BytePairModel::BytePairModel(const JsonPart& part, bool of_bytes)
    : where_(part.where()), of_bytes_(of_bytes) {
  refuse_other_models(part);
  fuse_unknown_ = part.flag_or("fuse_unk", false);
  byte_fallback_ = part.flag_or("byte_fallback", false);
  ignore_merges_ = part.flag_or("ignore_merges", false);
  read_vocabulary(part);
  read_merges(part);
  if (const auto unknown = part.find("unk_token")) {
    unknown_name_ = unknown->as_text();
    unknown_ = id_of(unknown_name_);
  }
  for (size_t byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    id_of_byte_[byte] = of_bytes ? id_of(to_byte_characters(one)) : byte < 0x80 ? id_of(one) : -1;
    fallback_[byte] = byte_fallback_ ? id_of(byte_piece(byte)) : -1;
  }
}

void BytePairModel::read_vocabulary(const JsonPart& part) {
  const auto vocabulary = part.at("vocab");
  vocabulary.require_object();
  ids_.reserve(vocabulary.json().size());
  std::vector<bool> taken;
  for (const auto& [piece, json] : vocabulary.json().items()) {
    const bool good = json.is_number_integer() && json >= 0 && json <= kLargestTokenId;
    if (!good) {
      throw vocabulary.wrong("token ids from 0 to " + std::to_string(kLargestTokenId),
                             describe(json) + " for \"" + piece + "\"");
    }
    const auto id = json.get<size_t>();
    if (id >= pieces_.size()) pieces_.resize(id + 1), taken.resize(id + 1);
    if (taken[id]) {
      throw vocabulary.wrong("each id once",
                             std::to_string(id) + " for \"" + pieces_[id] + "\" and \"" + piece + "\"");
    }
    taken[id] = true;
    pieces_[id] = piece;
    if (piece.empty()) empty_ = static_cast<int32_t>(id);
    ids_.emplace(piece, static_cast<int32_t>(id));
  }
}

std::pair<std::string, std::string> BytePairModel::read_merge(const JsonPart& merge) const {
  const auto& json = merge.json();
  if (json.is_array() && json.size() == 2 && json[0].is_string() && json[1].is_string())
    return {json[0].get<std::string>(), json[1].get<std::string>()};
  if (!json.is_string()) throw merge.wrong("two pieces, [\"a\", \"b\"] or \"a b\"", describe(json));
  const auto text = json.get<std::string>();
  // Pieces may have spaces themselves: then the space between is the one with pieces on both sides.
  std::vector<std::pair<std::string, std::string>> ways;
  for (size_t at = text.find(' '); at != std::string::npos; at = text.find(' ', at + 1)) {
    auto left = text.substr(0, at), right = text.substr(at + 1);
    if (id_of(left) >= 0 && id_of(right) >= 0 && id_of(left + right) >= 0 && !left.empty() && !right.empty())
      ways.emplace_back(std::move(left), std::move(right));
  }
  if (ways.size() == 1) return ways[0];
  throw merge.wrong("two pieces of the vocabulary, whose join is one too", describe(json));
}

void BytePairModel::read_merges(const JsonPart& part) {
  const auto list = part.at("merges");
  const auto& merges = list.json();
  if (!merges.is_array()) throw list.wrong("an array", describe(merges));
  merges_.reserve(merges.size());
  joints_.reserve(merges.size());
  for (size_t i = 0; i < merges.size(); ++i) {
    const JsonPart merge(merges[i], list.where() + "[" + std::to_string(i) + "]");
    const auto [left, right] = read_merge(merge);
    const int32_t first = id_of(left), second = id_of(right), joined = id_of(left + right);
    // An empty side would make a piece of itself, again and again.
    if (first < 0 || second < 0 || joined < 0 || left.empty() || right.empty()) {
      throw merge.wrong("two pieces of the vocabulary, neither empty, whose join is one too",
                        describe(merge.json()));
    }
    merges_.insert(first, second, {static_cast<uint32_t>(i), joined});
    add_joint(left, right);
  }
}

int32_t BytePairModel::id_of(std::string_view piece) const {
  const auto found = ids_.find(piece);
  return found == ids_.end() ? -1 : found->second;
}

const std::string* BytePairModel::piece(int32_t id) const {
  if (id < 0 || id > largest_id()) return nullptr;
  const auto& piece = pieces_[static_cast<size_t>(id)];
  return piece.empty() && id != empty_ ? nullptr : &piece;
}

/// The characters at a joint: of the left piece the last, of the right one the first.
void BytePairModel::add_joint(std::string_view left, std::string_view right) {
  size_t last = left.size() - 1, first = 0;
  while ((left[last] & 0xC0) == 0x80) --last;
  const auto before = static_cast<int32_t>(next_character(left, last));
  joints_.insert(before, static_cast<int32_t>(next_character(right, first)), {});
}

/// Where a part of a word ends that no merge leaves: between two pieces' characters that are nowhere joined.
size_t BytePairModel::end_of_stretch(std::string_view word, size_t begin) const {
  const auto known = [&](size_t from, size_t to) {
    return id_of(of_bytes_ ? to_byte_characters(word.substr(from, to - from))
                           : word.substr(from, to - from)) >= 0;
  };
  const auto next = [&](size_t& at) {
    if (!of_bytes_) return static_cast<int32_t>(next_character(word, at));
    return static_cast<int32_t>(byte_character(static_cast<unsigned char>(word[at++])));
  };
  size_t before = begin, at = begin;
  for (int32_t left = next(at); at < word.size();) {
    size_t behind = at;
    const int32_t right = next(behind);
    // Unknown characters may be fused, and stand behind bytes that follow them.
    if (!joints_.find(left, right) && known(before, at) && known(at, behind)) return at;
    before = std::exchange(at, behind);
    left = right;
  }
  return word.size();
}

void BytePairModel::encode(std::string_view word, std::vector<int32_t>& ids) const {
  if (ignore_merges_ || word.size() <= kLongestWhole) return encode_cached(word, ids);
  for (size_t begin = 0; begin < word.size();) {
    const size_t end = end_of_stretch(word, begin);
    encode_cached(word.substr(begin, end - begin), ids);
    begin = end;
  }
}

void BytePairModel::encode_cached(std::string_view word, std::vector<int32_t>& ids) const {
  if (word.size() > kLongestCached) {
    std::vector<int32_t> anew;
    encode_anew(word, anew);
    ids.insert(ids.end(), anew.begin(), anew.end());
    return;
  }
  auto& cache = (*cache_)[Hash{}(word) >> 32 & 15];
  {
    const std::lock_guard lock(cache.mutex);
    const auto found = cache.words.find(word);
    if (found != cache.words.end()) {
      ids.insert(ids.end(), found->second.begin(), found->second.end());
      return;
    }
  }
  std::vector<int32_t> anew;
  encode_anew(word, anew);
  ids.insert(ids.end(), anew.begin(), anew.end());
  const std::lock_guard lock(cache.mutex);
  if (cache.words.size() < kCachedWords) cache.words.emplace(word, std::move(anew));
}

void BytePairModel::encode_anew(std::string_view word, std::vector<int32_t>& ids) const {
  if (ignore_merges_) {
    const int32_t whole = of_bytes_ ? id_of(to_byte_characters(word)) : id_of(word);
    if (whole >= 0) return ids.push_back(whole);
  }
  begin(word, ids);
  if (ids.size() <= kFew) {
    merge_few(ids);
  } else {
    merge_many(ids);
  }
}

/// The ids of a word's characters.
void BytePairModel::begin(std::string_view word, std::vector<int32_t>& ids) const {
  ids.reserve(word.size());
  bool unknown_before = false;  // an unknown character waits: the library puts it behind bytes that follow it
  const auto put_unknown = [&] {
    if (unknown_before) ids.push_back(unknown_);
    unknown_before = false;
  };
  for (size_t at = 0; at < word.size();) {
    const auto lead = static_cast<unsigned char>(word[at]);
    const size_t length = of_bytes_ ? 1 : utf8_length(lead);
    const auto character = word.substr(at, length);
    at += length;
    const int32_t id = length == 1 ? id_of_byte_[lead] : id_of(character);
    if (id >= 0) {
      put_unknown();
      ids.push_back(id);
      continue;
    }
    const auto spelled = of_bytes_ ? to_byte_characters(character) : std::string(character);
    const auto id_of_one = [&](char byte) { return fallback_[static_cast<unsigned char>(byte)]; };
    if (std::all_of(spelled.begin(), spelled.end(), [&](char byte) { return id_of_one(byte) >= 0; })) {
      for (const char byte : spelled) ids.push_back(id_of_one(byte));
      continue;
    }
    if (unknown_name_.empty()) continue;  // the library leaves the character out
    if (unknown_ < 0) {
      throw Error(ExitCode::kBadInput,
                  {where_, "its unk_token, \"" + unknown_name_ + "\", among the pieces",
                   "none, and a text with an unknown character", "Obtain the file again."});
    }
    if (!fuse_unknown_) put_unknown();
    unknown_before = true;
  }
  put_unknown();
}

void BytePairModel::merge_few(std::vector<int32_t>& ids) const {
  std::array<Merge, kFew> best;  // of each symbol and the one behind it
  const auto look = [&](size_t i) {
    const auto* merge = i + 1 < ids.size() ? merges_.find(ids[i], ids[i + 1]) : nullptr;
    best[i] = merge ? *merge : Merge{kNoRank, -1};
  };
  for (size_t i = 0; i < ids.size(); ++i) look(i);
  while (ids.size() > 1) {
    const auto end = best.begin() + static_cast<std::ptrdiff_t>(ids.size()) - 1;
    const auto least =
        std::min_element(best.begin(), end, [](const Merge& a, const Merge& b) { return a.rank < b.rank; });
    if (least->rank == kNoRank) return;
    const auto i = least - best.begin();
    ids[static_cast<size_t>(i)] = least->id;
    ids.erase(ids.begin() + i + 1);
    std::copy(least + 1, end + 1, least);
    look(static_cast<size_t>(i));
    if (i > 0) look(static_cast<size_t>(i) - 1);
  }
}

void BytePairModel::merge_many(std::vector<int32_t>& ids) const {
  constexpr uint32_t kNone = UINT32_MAX;
  const auto count = static_cast<uint32_t>(ids.size());
  std::vector<uint32_t> before(count), behind(count);
  for (uint32_t i = 0; i < count; ++i)
    before[i] = i == 0 ? kNone : i - 1, behind[i] = i + 1 == count ? kNone : i + 1;
  // A rank and a place in one number: the lowest is the next to merge.
  std::vector<uint64_t> pairs;
  const auto rank_at = [&](uint32_t place) { return merges_.find(ids[place], ids[behind[place]]); };
  const auto key = [](uint32_t rank, uint32_t place) { return static_cast<uint64_t>(rank) << 32 | place; };
  for (uint32_t i = 0; i + 1 < count; ++i)
    if (const auto* merge = rank_at(i)) pairs.push_back(key(merge->rank, i));
  std::priority_queue queue(std::greater<uint64_t>(), std::move(pairs));
  while (!queue.empty()) {
    const auto [rank, place] =
        std::pair(static_cast<uint32_t>(queue.top() >> 32), static_cast<uint32_t>(queue.top()));
    queue.pop();
    const uint32_t next = behind[place];
    if (ids[place] < 0 || next == kNone) continue;
    const auto* merge = rank_at(place);
    if (!merge || merge->rank != rank) continue;  // one of both has merged since
    ids[place] = merge->id;
    ids[next] = -1;
    behind[place] = behind[next];
    if (behind[place] != kNone) before[behind[place]] = place;
    for (const uint32_t left : {before[place], place}) {
      if (left == kNone || behind[left] == kNone) continue;
      if (const auto* anew = rank_at(left)) queue.push(key(anew->rank, left));
    }
  }
  std::erase(ids, -1);
}

}  // namespace bilens
