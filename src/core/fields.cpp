#include "bilens/core/fields.h"

#include <algorithm>
#include <cmath>

#include "bilens/core/text.h"

namespace bilens {

namespace {

constexpr double kExact = 9007199254740992.0;  // 2^53: whole numbers below are exact in a double

Json ranged(const std::string& type, const std::string& meaning, const Range& range,
            const std::string& unit) {
  Json schema = typed_schema(type, meaning);
  if (std::isfinite(range.minimum))
    schema[range.exclusive_minimum ? "exclusiveMinimum" : "minimum"] = range.minimum;
  if (std::isfinite(range.maximum)) schema["maximum"] = range.maximum;
  if (!unit.empty()) schema["unit"] = unit;
  return schema;
}

/// 1e9 is an integer too, as in JSON Schema.
bool is_whole(const Json& value) {
  if (!value.is_number_float()) return false;
  const auto number = value.get<double>();
  return std::trunc(number) == number && std::abs(number) < kExact;
}

bool has_type(const Json& value, const std::string& type) {
  if (type == "integer") return value.is_number_integer() || is_whole(value);
  if (type == "number") return value.is_number();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "array") return value.is_array();
  if (type == "object") return value.is_object();
  return type == "null" && value.is_null();
}

std::vector<std::string> types_of(const Json& schema) {
  if (!schema.contains("type")) return {};
  if (schema.at("type").is_string()) return {schema.at("type").get<std::string>()};
  return schema.at("type").get<std::vector<std::string>>();
}

std::string with_article(const std::string& type) {
  if (type == "null") return type;
  return (type.find_first_of("aeiou") == 0 ? "an " : "a ") + type;
}

std::string in_full(double number) {
  return std::trunc(number) == number && std::abs(number) < kExact ? format("%.0f", number)
                                                                   : format("%g", number);
}

/// What a schema allows, in words: "an integer, at least 1".
std::string expectation(const Json& schema) {
  static const Json::json_pointer kKind("/properties/kind/enum/0");
  std::vector<std::string> parts, kinds;
  if (schema.contains("anyOf")) {
    for (const auto& option : schema.at("anyOf")) {
      if (option.contains(kKind)) {
        kinds.push_back(option.at(kKind).dump());
      } else {
        const auto part = expectation(option);
        if (std::find(parts.begin(), parts.end(), part) == parts.end()) parts.push_back(part);
      }
    }
    if (!kinds.empty()) parts.push_back("an object with a \"kind\", one of " + join(kinds));
    return join(parts, " or ");
  }
  if (schema.contains("enum")) {
    for (const auto& value : schema.at("enum")) parts.push_back(value.dump());
    return (parts.size() > 1 ? "one of " : "") + join(parts);
  }
  for (const auto& type : types_of(schema)) parts.push_back(with_article(type));
  std::string text = join(parts, " or ");
  const auto bound = [&](const char* key, const char* words) {
    if (schema.contains(key)) text += words + in_full(schema.at(key).get<double>());
  };
  bound("minimum", ", at least "), bound("exclusiveMinimum", ", more than "), bound("maximum", ", at most ");
  if (schema.contains("minItems")) text += ", not empty";
  if (schema.contains("items")) text += ", each " + expectation(schema.at("items"));
  return text;
}

bool fits(const Json& value, const Json& schema) {
  if (schema.contains("anyOf")) {
    const auto& options = schema.at("anyOf");
    return std::any_of(options.begin(), options.end(),
                       [&](const Json& option) { return fits(value, option); });
  }
  if (schema.contains("enum")) {
    const auto& allowed = schema.at("enum");
    return std::find(allowed.begin(), allowed.end(), value) != allowed.end();
  }
  const auto types = types_of(schema);
  if (!types.empty() && std::none_of(types.begin(), types.end(),
                                     [&](const std::string& type) { return has_type(value, type); })) {
    return false;
  }
  if (value.is_number()) {
    const auto number = value.get<double>();
    if (!std::isfinite(number)) return false;
    if (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX}) return false;
    if (schema.contains("minimum") && number < schema.at("minimum").get<double>()) return false;
    if (schema.contains("exclusiveMinimum") && number <= schema.at("exclusiveMinimum").get<double>())
      return false;
    if (schema.contains("maximum") && number > schema.at("maximum").get<double>()) return false;
  }
  if (value.is_array() && value.size() < schema.value("minItems", size_t{0})) return false;
  if (value.is_array() && schema.contains("items")) {
    return std::all_of(value.begin(), value.end(),
                       [&](const Json& item) { return fits(item, schema.at("items")); });
  }
  return true;
}

}  // namespace

Json list_schema(const std::string& meaning, Json items) {
  Json schema = typed_schema("array", meaning);
  schema["items"] = std::move(items);
  schema["minItems"] = 1;
  return schema;
}

Json typed_schema(const std::string& type, const std::string& meaning) {
  return {{"type", type}, {"description", meaning}};
}

Json number_schema(const std::string& meaning, const Range& range, const std::string& unit) {
  return ranged("number", meaning, range, unit);
}

Json integer_schema(const std::string& meaning, const Range& range, const std::string& unit) {
  return ranged("integer", meaning, range, unit);
}

Json choice_schema(const std::string& meaning, const std::vector<std::string>& choices) {
  return {{"enum", choices}, {"description", meaning}};
}

bool check_value(const Json& value, const Json& schema, const std::string& where,
                 std::vector<Problem>& problems) {
  if (fits(value, schema)) return true;
  std::string fix;
  if (value.is_string() && schema.contains("enum")) {
    const auto near = nearest(value.get<std::string>(), schema.at("enum").get<std::vector<std::string>>());
    if (!near.empty()) fix = "Did you mean \"" + near + "\"?";
  }
  const auto expected = expectation(schema);
  problems.push_back({where, expected.empty() ? "a number of 64 bits" : expected, describe(value), fix});
  return false;
}

bool takes_objects(const Json& schema) {
  if (!schema.contains("anyOf")) return schema.value("type", Json()) == "object";
  const auto& options = schema.at("anyOf");
  return std::any_of(options.begin(), options.end(), takes_objects);
}

void check_keys(const Json& object, const std::vector<std::string>& names, const std::string& where,
                std::vector<Problem>& problems) {
  for (const auto& item : object.items()) {
    if (std::find(names.begin(), names.end(), item.key()) != names.end()) continue;
    const auto near = nearest(item.key(), names);
    problems.push_back({key_path(where, item.key()),
                        names.empty() ? "no key here" : "a known key (" + join(names) + ")",
                        "\"" + item.key() + "\"", near.empty() ? "" : "Did you mean \"" + near + "\"?"});
  }
}

std::string key_path(const std::string& where, const std::string& key) {
  if (where.empty()) return key;
  if (where == "--") {
    std::string flag = where + key;
    std::replace(flag.begin(), flag.end(), '_', '-');
    return flag;
  }
  const bool below_key = where.find(": ") != std::string::npos;
  const bool source =
      where.find('/') != std::string::npos || where.ends_with(".json") || where.starts_with("--");
  return where + (source && !below_key ? ": " : ".") + key;
}

}  // namespace bilens
