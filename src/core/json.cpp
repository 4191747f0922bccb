#include "bilens/core/json.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "bilens/core/files.h"

namespace bilens {

namespace {

constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxBytes = size_t{64} << 20;

/// Builds the value while refusing what plain parsers let pass: duplicate keys and endless nesting.
class StrictBuilder : public nlohmann::json_sax<Json> {
 public:
  StrictBuilder(Json& root, const std::string& text, std::string where, ExitCode code)
      : root_(root), text_(text), where_(std::move(where)), code_(code) {}

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t&) override { return put(value); }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t&) override { return false; }

  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    if (!keys_.back().insert(name).second) {
      throw Error(code_, {where_, "each key once", "the key \"" + name + "\" twice in one object",
                          "Remove one of them."});
    }
    key_ = name;
    return true;
  }

  bool parse_error(size_t position, const std::string& token,
                   const nlohmann::detail::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 0: ...": of this only what follows; the
    // column is wrong there when a number ends its line.
    std::string text = error.what();
    if (const auto end = text.find(": "); end != std::string::npos) text = text.substr(end + 2);
    text = "at " + line_and_column(position) + ": " + text;
    const bool overflow = dynamic_cast<const Json::out_of_range*>(&error) != nullptr;
    throw Error(code_, {where_, overflow ? "numbers that a double can hold" : "valid JSON",
                        overflow ? token.substr(0, 40) : text, "Correct the file there."});
  }

 private:
  /// Where the parser stands after `position` bytes.
  std::string line_and_column(size_t position) const {
    const std::string before = text_.substr(0, std::min(position, text_.size()));
    const std::string inside = before.substr(0, before.empty() ? 0 : before.size() - 1);
    const auto line = 1 + std::count(inside.begin(), inside.end(), '\n');
    const auto start = inside.rfind('\n') == std::string::npos ? 0 : inside.rfind('\n') + 1;
    return "line " + std::to_string(line) + ", column " + std::to_string(before.size() - start);
  }

  template <class Value>
  bool put(Value&& value) {
    add(Json(std::forward<Value>(value)));
    return true;
  }

  Json* add(Json value) {
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *stack_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    // Appended without a search for the key, which is new: an object of many keys would take quadratic time.
    auto& members = static_cast<Json::object_t::Container&>(parent.get_ref<Json::object_t&>());
    members.emplace_back(key_, std::move(value));
    return &members.back().second;
  }

  bool open(Json container) {
    if (stack_.size() >= kMaxDepth) {
      throw Error(code_, {where_, "at most " + std::to_string(kMaxDepth) + " levels of nesting", "more", ""});
    }
    stack_.push_back(add(std::move(container)));
    keys_.emplace_back();
    return true;
  }

  bool close() {
    stack_.pop_back();
    keys_.pop_back();
    return true;
  }

  Json& root_;
  const std::string& text_;
  std::string where_;
  ExitCode code_;
  std::vector<Json*> stack_;
  std::vector<std::set<std::string>> keys_;
  std::string key_;
};

/// Replaces numbers that JSON cannot hold.
Json finite(const Json& json) {
  if (json.is_number_float() && !std::isfinite(json.get<double>())) return nullptr;
  if (!json.is_structured()) return json;
  Json copy = json;
  for (auto& item : copy) item = finite(item);
  return copy;
}

}  // namespace

Json parse_json(const std::string& text, const std::string& where, ExitCode code) {
  if (text.rfind("\xEF\xBB\xBF", 0) == 0) {
    throw Error(code,
                {where, "UTF-8 without a byte-order mark", "a byte-order mark", "Save the file without it."});
  }
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) {
    throw Error(code, {where, "a JSON document", "nothing (the file is empty)", ""});
  }
  if (const auto nul = text.find('\0'); nul != std::string::npos) {  // the parser takes it for the end
    throw Error(code, {where, "valid JSON", "a NUL byte at byte " + std::to_string(nul), ""});
  }
  Json root;
  StrictBuilder builder(root, text, where, code);
  Json::sax_parse(text, &builder);
  return root;
}

Json read_json(const std::filesystem::path& path, ExitCode code) {
  return parse_json(read_text(path, kMaxBytes, code), path.string(), code);
}

Json given_members(const Json& object, const std::vector<std::string>& names) {
  Json given = Json::object();
  for (const auto& name : names) {
    if (object.contains(name) && !object.at(name).is_null()) given[name] = object.at(name);
  }
  return given;
}

std::string format_json(const Json& json) {
  return finite(json).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string describe(const Json& json) {
  const auto quoted = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  const std::string shown = quoted.size() > 60 ? quoted.substr(0, 57) + "..." : quoted;
  switch (json.type()) {
    case Json::value_t::null: return "null";
    case Json::value_t::boolean: return "the boolean " + shown;
    case Json::value_t::string: return "the string " + shown;
    case Json::value_t::array: return "the array " + shown;
    case Json::value_t::object: return "the object " + shown;
    default: return shown;
  }
}

}  // namespace bilens
