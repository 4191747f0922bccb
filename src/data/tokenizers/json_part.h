#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bilens/core/json.h"

namespace bilens {

/// A part of a tokenizer.json, which knows its place in the file for messages: "tokenizer.json:
/// decoder.decoders[2]". Lives no longer than the file's Json.
class JsonPart {
 public:
  JsonPart(const Json& json, std::string where) : json_(&json), where_(std::move(where)) {}
  /// The whole of a file.
  JsonPart(const Json& json, const std::filesystem::path& file)
      : json_(&json), where_(file.string()), joint_(": ") {}

  const Json& json() const { return *json_; }
  const std::string& where() const { return where_; }

  // All throw Error(kBadInput) for a key that is not there, or a value of another kind.
  JsonPart at(const std::string& key) const;
  /// None where the key is not there, or null.
  std::optional<JsonPart> find(const std::string& key) const;
  /// The parts of an array.
  std::vector<JsonPart> list(const std::string& key) const;
  std::string text(const std::string& key) const;
  bool flag(const std::string& key) const;
  bool flag_or(const std::string& key, bool otherwise) const;
  int64_t integer(const std::string& key, int64_t least, int64_t most) const;
  std::string type() const { return text("type"); }

  /// The value as a string.
  std::string as_text() const;
  const JsonPart& require_object() const;

  Error wrong(const std::string& expected, const std::string& found,
              const std::string& fix = "Obtain the file again.") const;
  /// What is known and not read, by its name. @param kinds what is read
  Error unread(const std::string& kinds) const;

 private:
  const Json* json_;
  std::string where_, joint_ = ".";
};

/// The parts that a part consists of, Sequences in Sequences spelled out. @param key of a Sequence's list
/// @throws Error(kBadInput) for Sequences more than 16 deep
std::vector<JsonPart> flatten_sequence(const JsonPart& part, const std::string& key);

}  // namespace bilens
