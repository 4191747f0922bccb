#include "added_vocabulary.h"

#include <algorithm>

#include "unicode.h"

namespace bilens {

namespace {

/// The character that ends before a byte.
char32_t character_before(std::string_view text, size_t at) {
  do {
    --at;
  } while ((text[at] & 0xC0) == 0x80);
  return next_character(text, at);
}

bool goes_on_around(std::string_view text, size_t begin, size_t end) {
  size_t at = end;
  return (begin > 0 && is_word(character_before(text, begin))) ||
         (end < text.size() && is_word(next_character(text, at)));
}

size_t white_space_before(std::string_view text, size_t at, size_t least) {
  while (at > least && is_white_space(character_before(text, at))) {
    do {
      --at;
    } while ((text[at] & 0xC0) == 0x80);
  }
  return at;
}

size_t white_space_behind(std::string_view text, size_t at) {
  for (size_t next = at; next < text.size(); at = next)
    if (!is_white_space(next_character(text, next))) break;
  return at;
}

}  // namespace

void ContentFinder::add(std::string_view content, size_t token) {
  if (content.empty()) return;
  begins_[static_cast<unsigned char>(content[0])] = true;
  size_t node = 0;
  for (const char c : content) {
    const auto byte = static_cast<unsigned char>(c);
    const auto& next = nodes_[node].next;
    const auto edge = std::find_if(next.begin(), next.end(), [&](const auto& e) { return e.first == byte; });
    if (edge != next.end()) {
      node = edge->second;
      continue;
    }
    const size_t made = nodes_.size();
    nodes_[node].next.emplace_back(byte, made);
    nodes_.emplace_back();
    node = made;
  }
  // The first of two tokens with one normalized content counts.
  if (nodes_[node].token == std::string_view::npos) nodes_[node].token = token;
}

ContentFinder::Found ContentFinder::next(std::string_view text, size_t from) const {
  for (size_t at = from; at < text.size(); ++at) {
    if (!begins_[static_cast<unsigned char>(text[at])]) continue;
    Found found;
    size_t node = 0;
    for (size_t end = at; end < text.size();) {
      const auto byte = static_cast<unsigned char>(text[end++]);
      const auto& next = nodes_[node].next;
      const auto edge =
          std::find_if(next.begin(), next.end(), [&](const auto& e) { return e.first == byte; });
      if (edge == next.end()) break;
      node = edge->second;
      if (nodes_[node].token != std::string_view::npos) found = {at, end, nodes_[node].token};
    }
    if (found.token != std::string_view::npos) return found;
  }
  return {text.size(), text.size(), std::string_view::npos};
}

AddedPiece read_added_piece(const JsonPart& part, int32_t id) {
  AddedPiece token{part.text("content"), id};
  token.single_word = part.flag_or("single_word", false);
  token.strips_left = part.flag_or("lstrip", false);
  token.strips_right = part.flag_or("rstrip", false);
  token.special = part.flag_or("special", false);
  token.normalized = part.flag_or("normalized", !token.special);
  return token;
}

AddedVocabulary::AddedVocabulary(const JsonPart& list, const BytePairModel& model,
                                 const Normalizer& normalizer) {
  const auto& json = list.json();
  if (!json.is_array()) throw list.wrong("an array", describe(json));
  for (size_t i = 0; i < json.size(); ++i) {
    const JsonPart part(json[i], list.where() + "[" + std::to_string(i) + "]");
    const auto token = read_added_piece(part, static_cast<int32_t>(part.integer("id", 0, kLargestTokenId)));
    if (!token.content.empty()) add(token, part.where(), model);
  }
  build_finders(normalizer);
}

void AddedVocabulary::take(const std::vector<AddedPiece>& tokens, const std::string& where,
                           const BytePairModel& model, const Normalizer& normalizer) {
  for (const auto& token : tokens)
    if (!token.content.empty()) add(token, where, model);
  build_finders(normalizer);
}

void AddedVocabulary::add(const AddedPiece& token, const std::string& where, const BytePairModel& model) {
  const auto quoted = [](const std::string& content, int32_t id) {
    return "\"" + content + "\" as token " + std::to_string(id);
  };
  const auto require = [&](const std::string& content, int32_t id) {
    if (content == token.content && id == token.id) return;
    throw Error(ExitCode::kBadInput, {where, quoted(content, id), quoted(token.content, token.id),
                                      "Obtain the tokenizer's files again."});
  };
  if (const auto* const other = find(token.id)) require(other->content, token.id);
  int32_t known = id_of(token.content);
  if (known < 0) known = model.id_of(token.content);
  if (known >= 0) {
    require(token.content, known);
  } else {
    if (const auto* const piece = model.piece(token.id)) require(*piece, token.id);
    // The library numbers them one after the other, whatever the file says.
    require(token.content, std::max(largest_id() + 1, static_cast<int32_t>(model.count())));
  }
  const auto [place, is_new] = by_id_.emplace(token.id, tokens_.size());
  if (is_new) {
    tokens_.push_back(token);
  } else {
    tokens_[place->second] = token;
  }
}

void AddedVocabulary::build_finders(const Normalizer& normalizer) {
  plain_ = normalized_ = {};
  // The library lists the special ones first, which matters where two have one normalized content.
  for (const bool special : {true, false}) {
    for (size_t i = 0; i < tokens_.size(); ++i) {
      const auto& token = tokens_[i];
      if (token.special != special) continue;
      token.normalized ? normalized_.add(normalizer(token.content), i) : plain_.add(token.content, i);
    }
  }
}

std::vector<AddedPiece> AddedVocabulary::remove_from(int64_t vocabulary, const Normalizer& normalizer) {
  const auto beyond = [&](const AddedPiece& token) { return token.id >= vocabulary; };
  std::vector<AddedPiece> removed;
  std::copy_if(tokens_.begin(), tokens_.end(), std::back_inserter(removed), beyond);
  std::erase_if(tokens_, beyond);
  by_id_.clear();
  for (size_t i = 0; i < tokens_.size(); ++i) by_id_[tokens_[i].id] = i;
  build_finders(normalizer);
  return removed;
}

const AddedPiece* AddedVocabulary::find(int32_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

int32_t AddedVocabulary::id_of(std::string_view content) const {
  for (const auto& token : tokens_)
    if (token.content == content) return token.id;
  return -1;
}

int32_t AddedVocabulary::largest_id() const {
  int32_t largest = -1;
  for (const auto& token : tokens_) largest = std::max(largest, token.id);
  return largest;
}

std::vector<AddedVocabulary::Part> AddedVocabulary::split(std::string_view text, bool normalized) const {
  const auto& finder = normalized ? normalized_ : plain_;
  if (finder.empty()) return {{text}};
  std::vector<Part> parts;
  size_t end = 0;  // of what has been given out
  for (size_t at = 0;;) {
    const auto found = finder.next(text, at);
    if (found.token == std::string_view::npos) break;
    at = found.end;
    const auto& token = tokens_[found.token];
    if (token.single_word && goes_on_around(text, found.begin, found.end)) continue;
    const size_t from = token.strips_left ? white_space_before(text, found.begin, end) : found.begin;
    const size_t to = token.strips_right ? white_space_behind(text, found.end) : found.end;
    const size_t begin = std::max(from, end);
    if (begin > end) parts.push_back({text.substr(end, begin - end)});
    if (to <= begin) continue;  // white space that the token before has taken
    parts.push_back({text.substr(begin, to - begin), token.id});
    end = to;
  }
  if (end < text.size()) parts.push_back({text.substr(end)});
  return parts;
}

}  // namespace bilens
