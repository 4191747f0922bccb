#include "json_part.h"

namespace bilens {

namespace {

constexpr int kDeepestSequence = 16;

void flatten_into(const JsonPart& part, const std::string& key, int depth, std::vector<JsonPart>& parts) {
  if (part.require_object().type() != "Sequence") return parts.push_back(part);
  if (depth == kDeepestSequence) {
    throw part.wrong("at most " + std::to_string(kDeepestSequence) + " Sequences within each other", "more");
  }
  for (const auto& inner : part.list(key)) flatten_into(inner, key, depth + 1, parts);
}

}  // namespace

const JsonPart& JsonPart::require_object() const {
  if (!json_->is_object()) throw wrong("an object", describe(*json_));
  return *this;
}

JsonPart JsonPart::at(const std::string& key) const {
  require_object();
  const auto found = json_->find(key);
  if (found == json_->end()) throw wrong("the key \"" + key + "\"", "none");
  return {*found, where_ + joint_ + key};
}

std::optional<JsonPart> JsonPart::find(const std::string& key) const {
  require_object();
  const auto found = json_->find(key);
  if (found == json_->end() || found->is_null()) return std::nullopt;
  return at(key);
}

std::vector<JsonPart> JsonPart::list(const std::string& key) const {
  const auto part = at(key);
  if (!part.json().is_array()) throw part.wrong("an array", describe(part.json()));
  std::vector<JsonPart> parts;
  for (size_t i = 0; i < part.json().size(); ++i)
    parts.emplace_back(part.json()[i], part.where() + "[" + std::to_string(i) + "]");
  return parts;
}

std::string JsonPart::text(const std::string& key) const { return at(key).as_text(); }

bool JsonPart::flag(const std::string& key) const {
  const auto part = at(key);
  if (!part.json().is_boolean()) throw part.wrong("true or false", describe(part.json()));
  return part.json().get<bool>();
}

bool JsonPart::flag_or(const std::string& key, bool otherwise) const {
  return find(key) ? flag(key) : otherwise;
}

int64_t JsonPart::integer(const std::string& key, int64_t least, int64_t most) const {
  const auto part = at(key);
  const auto& json = part.json();
  const bool whole = json.is_number_integer() && !(json.is_number_unsigned() && json > INT64_MAX);
  if (!whole || json.get<int64_t>() < least || json.get<int64_t>() > most) {
    throw part.wrong("a whole number from " + std::to_string(least) + " to " + std::to_string(most),
                     describe(json));
  }
  return json.get<int64_t>();
}

std::string JsonPart::as_text() const {
  if (!json_->is_string()) throw wrong("a string", describe(*json_));
  return json_->get<std::string>();
}

Error JsonPart::wrong(const std::string& expected, const std::string& found, const std::string& fix) const {
  return Error(ExitCode::kBadInput, {where_, expected, found, fix});
}

Error JsonPart::unread(const std::string& kinds) const {
  return wrong(kinds, "\"" + type() + "\"",
               "Others are not read. In Python tokenize the text, and give token ids (tokens:FILE).");
}

std::vector<JsonPart> flatten_sequence(const JsonPart& part, const std::string& key) {
  std::vector<JsonPart> parts;
  flatten_into(part, key, 0, parts);
  return parts;
}

}  // namespace bilens
