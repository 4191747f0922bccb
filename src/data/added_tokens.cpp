#include "bilens/data/added_tokens.h"

#include <algorithm>

#include "bilens/core/json.h"
#include "bilens/core/utf8.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr int32_t kLargestId = (1 << 24) - 1;  // of the largest vocabulary that a model may have

Error bad_neighbour(const fs::path& file, const std::string& expected, const std::string& found) {
  return Error(ExitCode::kBadInput, {file.string(), expected, found, "Obtain the tokenizer's files again."});
}

Json read_object(const fs::path& file) {
  const Json json = read_json(file, ExitCode::kBadInput);
  if (!json.is_object()) throw bad_neighbour(file, "an object", describe(json));
  return json;
}

int32_t parse_id(const Json& id, const fs::path& file) {
  const bool good = id.is_number_integer() && id >= 0 && id <= kLargestId;
  if (!good) throw bad_neighbour(file, "token ids from 0 to " + std::to_string(kLargestId), describe(id));
  return id.get<int32_t>();
}

/// A token's content: a string, or an object with one; "" where it is neither.
std::string content_of(const Json& token) {
  const Json content = token.is_object() ? token.value("content", Json()) : token;
  return content.is_string() ? content.get<std::string>() : "";
}

AddedToken parse_token(const Json& token, int32_t id, const fs::path& file) {
  AddedToken parsed{content_of(token), id};
  if (parsed.content.empty())
    throw bad_neighbour(file, "the text of token " + std::to_string(id), describe(token));
  if (!token.is_object()) return parsed;
  const auto flag = [&](const char* key) { return token.value(key, Json(false)) == true; };
  if (flag("single_word"))
    throw bad_neighbour(file, "tokens that stand anywhere",
                        "\"" + parsed.content + "\" as a whole word alone (single_word)");
  parsed.strips_left = flag("lstrip");
  parsed.strips_right = flag("rstrip");
  parsed.late = flag("normalized");
  return parsed;
}

/// {"0": {"content": "<unk>", ...}, ...}
std::vector<AddedToken> parse_decoder(const Json& decoder, const fs::path& file) {
  std::vector<AddedToken> tokens;
  if (!decoder.is_object()) return tokens;
  for (const auto& [key, token] : decoder.items()) {
    const Json id = Json::parse(key, nullptr, /*allow_exceptions=*/false);
    tokens.push_back(parse_token(token, parse_id(id.is_discarded() ? Json(key) : id, file), file));
  }
  return tokens;
}

/// The contents that a configuration names as special, bos_token and the like.
std::vector<Json> special_names(const Json& config) {
  std::vector<Json> names;
  for (const auto& [key, value] : config.items()) {
    if (key.ends_with("_token")) names.push_back(value);
    const bool several = key == "additional_special_tokens" || key == "extra_special_tokens";
    if (several && value.is_array()) names.insert(names.end(), value.begin(), value.end());
  }
  return names;
}

}  // namespace

AddedTokens::AddedTokens(const fs::path& folder, const std::vector<AddedToken>& special,
                         const std::function<int32_t(const std::string&)>& id_of_piece) {
  const auto added = folder / "added_tokens.json";
  if (fs::exists(added)) {
    files_.push_back(added);
    const Json json = read_object(added);
    for (const auto& [content, id] : json.items())
      add(parse_token(content, parse_id(id, added), added), added);
  }
  for (const char* name : {"special_tokens_map.json", "tokenizer_config.json"})
    if (fs::exists(folder / name)) read_config(folder / name, id_of_piece);
  if (files_.empty()) return;
  for (const auto& token : special)
    if (id_of(token.content) < 0 && !has_id(token.id)) tokens_.push_back(token);
  std::stable_sort(tokens_.begin(), tokens_.end(),
                   [](const auto& a, const auto& b) { return a.content.size() > b.content.size(); });
  for (size_t i = 0; i < tokens_.size(); ++i) places_[tokens_[i].id] = i;
}

void AddedTokens::read_config(const fs::path& file,
                              const std::function<int32_t(const std::string&)>& id_of_piece) {
  files_.push_back(file);
  const Json config = read_object(file);
  for (const auto& token : parse_decoder(config.value("added_tokens_decoder", Json()), file))
    add(token, file);
  const auto id_of_name = [&](const Json& name) {
    const auto content = content_of(name);
    const int32_t id = content.empty() ? -1 : id_of(content);
    return id >= 0 || content.empty() ? id : id_of_piece(content);
  };
  for (const Json& name : special_names(config)) {
    const int32_t id = id_of_name(name);
    if (id >= 0 && id_of(content_of(name)) < 0 && !has_id(id)) tokens_.push_back({content_of(name), id});
  }
  const auto take = [&](const char* key, std::optional<int32_t>& target) {
    const int32_t id = id_of_name(config.value(key, Json()));
    if (id >= 0) target = id;
  };
  take("bos_token", bos_);
  take("eos_token", eos_);
  if (config.contains("add_bos_token")) {  // null is no, as in transformers
    const Json& bos = config.at("add_bos_token");
    if (!bos.is_boolean() && !bos.is_null())
      throw bad_neighbour(file, "add_bos_token true, false or null", describe(bos));
    begins_with_bos_ = bos == true;
  }
  if (config.contains("legacy")) legacy_ = config.at("legacy") == true;
}

void AddedTokens::add(const AddedToken& token, const fs::path& file) {
  for (auto& known : tokens_) {
    const bool same_id = known.id == token.id, same_content = known.content == token.content;
    if (same_id != same_content) {
      throw bad_neighbour(
          file, "\"" + known.content + "\" as token " + std::to_string(known.id) + ", as said before",
          "\"" + token.content + "\" as token " + std::to_string(token.id));
    }
    if (same_id) {
      known = token;
      return;
    }
  }
  tokens_.push_back(token);
}

bool AddedTokens::has_id(int32_t id) const {
  return std::any_of(tokens_.begin(), tokens_.end(), [id](const auto& token) { return token.id == id; });
}

const AddedToken* AddedTokens::find(int32_t id) const {
  const auto place = places_.find(id);
  return place == places_.end() ? nullptr : &tokens_[place->second];
}

int32_t AddedTokens::id_of(const std::string& content) const {
  for (const auto& token : tokens_)
    if (token.content == content) return token.id;
  return -1;
}

std::vector<AddedToken> AddedTokens::remove_from(int64_t vocabulary) {
  std::vector<AddedToken> removed;
  std::copy_if(tokens_.begin(), tokens_.end(), std::back_inserter(removed),
               [&](const auto& token) { return token.id >= vocabulary; });
  std::erase_if(tokens_, [&](const auto& token) { return token.id >= vocabulary; });
  places_.clear();
  for (size_t i = 0; i < tokens_.size(); ++i) places_[tokens_[i].id] = i;
  return removed;
}

/// The longest token that the text begins with.
const AddedToken* AddedTokens::match(std::string_view text, bool late) const {
  for (const auto& token : tokens_)
    if (token.late == late && text.starts_with(token.content)) return &token;
  return nullptr;
}

void AddedTokens::split_part(std::string_view text, bool late, std::vector<Part>& parts) const {
  std::string firsts;
  for (const auto& token : tokens_)
    if (token.late == late) firsts += token.content.front();
  for (size_t at = 0; (at = text.find_first_of(firsts, at)) != std::string_view::npos;) {
    const auto* token = match(text.substr(at), late);
    if (token == nullptr) {
      ++at;
      continue;
    }
    auto before = text.substr(0, at);
    if (token->strips_left) before = strip_right(before);
    if (!before.empty()) parts.push_back({before});
    parts.push_back({text.substr(at, token->content.size()), token->id});
    text.remove_prefix(at + token->content.size());
    if (token->strips_right) text = strip_left(text);
    at = 0;
  }
  if (!text.empty()) parts.push_back({text});
}

std::vector<AddedTokens::Part> AddedTokens::split(std::string_view text) const {
  std::vector<Part> early, all;
  split_part(text, false, early);
  for (const auto& part : early) {
    if (part.id >= 0) {
      all.push_back(part);
    } else {
      split_part(part.text, true, all);
    }
  }
  return all;
}

}  // namespace bilens
