#pragma once

#include <functional>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bilens/core/json.h"

namespace bilens {

/// The interval that a number must lie in.
struct Range {
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  bool exclusive_minimum = false;
};
inline Range at_least(double minimum) { return {minimum}; }
inline Range more_than(double minimum) { return {minimum, std::numeric_limits<double>::infinity(), true}; }
inline Range between(double minimum, double maximum) { return {minimum, maximum}; }

/// What one config key says of itself, as JSON Schema: type, range, meaning, unit.
Json number_schema(const std::string& meaning, const Range& range, const std::string& unit);
Json integer_schema(const std::string& meaning, const Range& range, const std::string& unit);
Json list_schema(const std::string& meaning, Json items);
Json typed_schema(const std::string& type, const std::string& meaning);
Json choice_schema(const std::string& meaning, const std::vector<std::string>& choices);

/// Checks a value against a schema: type, enum, minimum, exclusiveMinimum, maximum, anyOf, array items. Each
/// violation is added to `problems`; true when there was none.
bool check_value(const Json& value, const Json& schema, const std::string& where,
                 std::vector<Problem>& problems);

/// Whether an object is among what a schema allows.
bool takes_objects(const Json& schema);

/// The keys of `object` that are not among `names`, each with the nearest known one.
void check_keys(const Json& object, const std::vector<std::string>& names, const std::string& where,
                std::vector<Problem>& problems);

/// "where.key", or "where: key" below a file name or a flag; below "--" the flag itself.
std::string key_path(const std::string& where, const std::string& key);

/// The table of a config struct's keys, which stands beside the struct: parsing, the JSON Schema, the
/// resolved config and the documentation all come from it. Defaults are those of a default-constructed C.
template <class C>
class FieldTable {
 public:
  explicit FieldTable(std::string meaning) : meaning_(std::move(meaning)) {}

  FieldTable& number(const std::string& name, double C::*member, const std::string& meaning, Range range = {},
                     const std::string& unit = "") {
    return plain(name, member, number_schema(meaning, range, unit));
  }
  FieldTable& integer(const std::string& name, int64_t C::*member, const std::string& meaning,
                      Range range = {}, const std::string& unit = "") {
    return plain(name, member, integer_schema(meaning, range, unit));
  }
  FieldTable& flag(const std::string& name, bool C::*member, const std::string& meaning) {
    return plain(name, member, typed_schema("boolean", meaning));
  }
  FieldTable& text(const std::string& name, std::string C::*member, const std::string& meaning) {
    return plain(name, member, typed_schema("string", meaning));
  }
  /// A key that always has this word, for which no member stands.
  FieldTable& constant(const std::string& name, const std::string& word, const std::string& meaning) {
    return add({name, choice_schema(meaning, {word}), [](C&, const Json&) {},
                [word](const C&) { return Json(word); }, nullptr});
  }
  /// Some integers, of a schema of their own.
  FieldTable& integers(const std::string& name, std::vector<int64_t> C::*member, const Json& schema) {
    return plain(name, member, schema);
  }
  /// A value that functions of its own read and write, such as one of several kinds of objects, whose keys
  /// `read` checks; whatever is no object is checked before, by the schema.
  template <class T>
  FieldTable& custom(const std::string& name, T C::*member, const Json& schema,
                     T (*read)(const Json& value, const std::string& where, std::vector<Problem>& problems),
                     Json (*write)(const T& value)) {
    const auto parse = [member, schema, read](C& config, const Json& value, const std::string& where,
                                              std::vector<Problem>& problems) {
      const bool own = value.is_object() && takes_objects(schema);  // which `read` checks key by key
      const bool good = own || check_value(value, schema, where, problems);
      if (good) config.*member = read(value, where, problems);
    };
    add(member,
        {name, schema, nullptr, [member, write](const C& config) { return write(config.*member); }, parse});
    fields_.back().has_default = true;
    return *this;
  }

  /// An object by a table of its own, or null.
  template <class N>
  FieldTable& optional(const std::string& name, std::optional<N> C::*member, const FieldTable<N>& table,
                       const std::string& meaning) {
    const Json schema = {{"description", meaning}, {"anyOf", {{{"type", "null"}}, table.schema()}}};
    const auto parse = [member, table, schema](C& config, const Json& value, const std::string& where,
                                               std::vector<Problem>& problems) {
      if (!value.is_object() && !check_value(value, schema, where, problems)) return;
      config.*member = value.is_null() ? std::nullopt : std::optional(table.parse(value, where, problems));
    };
    add(member, {name, schema, nullptr,
                 [member, table](const C& config) {
                   return config.*member ? table.dump(*(config.*member)) : Json(nullptr);
                 },
                 parse});
    fields_.back().has_default = true;
    return *this;
  }

  /// A value, or one word (or null) in its place: "all", "auto". @param schema of both
  template <class T>
  FieldTable& value_or(const std::string& name, std::optional<T> C::*member, const Json& word,
                       const Json& schema) {
    return add(member,
               {name, schema,
                [member, word](C& config, const Json& value) {
                  config.*member = value == word ? std::nullopt : std::optional<T>(value.get<T>());
                },
                [member, word](const C& config) { return config.*member ? Json(*(config.*member)) : word; },
                nullptr});
  }

  /// Numbers from 0 of things that are counted, such as layers; nothing: "all" of them.
  FieldTable& all_or_some(const std::string& name, std::optional<std::vector<int64_t>> C::*member,
                          const std::string& meaning) {
    const Json all = {{"enum", {"all"}}},
               some = {{"type", "array"}, {"items", {{"type", "integer"}, {"minimum", 0}}}, {"minItems", 1}};
    return value_or(name, member, "all", {{"description", meaning}, {"anyOf", {all, some}}});
  }

  /// A list of some of the choices.
  template <class E>
  FieldTable& choices(const std::string& name, std::vector<E> C::*member, const std::string& meaning,
                      const std::vector<std::pair<std::string, E>>& choices) {
    std::vector<std::string> names;
    for (const auto& choice : choices) names.push_back(choice.first);
    return add(member, {name,
                        {{"type", "array"}, {"items", {{"enum", names}}}, {"description", meaning}},
                        [member, choices](C& config, const Json& value) {
                          (config.*member).clear();
                          for (const auto& text : value)
                            for (const auto& [name, chosen] : choices)
                              if (text == name) (config.*member).push_back(chosen);
                        },
                        [member, choices](const C& config) {
                          Json list = Json::array();
                          for (const auto& chosen : config.*member)
                            for (const auto& [name, choice] : choices)
                              if (choice == chosen) list.push_back(name);
                          return list;
                        },
                        nullptr});
  }

  /// A list of at least one integer.
  FieldTable& integers(const std::string& name, std::vector<int64_t> C::*member, const std::string& meaning,
                       Range range = {}, const std::string& unit = "") {
    return plain(name, member, list_schema(meaning, integer_schema("", range, unit)));
  }

  FieldTable& numbers(const std::string& name, std::vector<double> C::*member, const std::string& meaning,
                      Range range = {}, const std::string& unit = "") {
    return plain(name, member, list_schema(meaning, number_schema("", range, unit)));
  }

  /// null stands for "not given".
  FieldTable& optional_number(const std::string& name, std::optional<double> C::*member,
                              const std::string& meaning, Range range = {}, const std::string& unit = "") {
    Json schema = number_schema(meaning, range, unit);
    schema["type"] = Json::array({"number", "null"});
    return add(
        member,
        {name, schema,
         [member](C& config, const Json& value) {
           config.*member = value.is_null() ? std::nullopt : std::optional<double>(value.get<double>());
         },
         [member](const C& config) { return config.*member ? Json(*(config.*member)) : Json(nullptr); },
         nullptr});
  }

  template <class E>
  FieldTable& choice(const std::string& name, E C::*member, const std::string& meaning,
                     const std::vector<std::pair<std::string, E>>& choices) {
    std::vector<std::string> names;
    for (const auto& choice : choices) names.push_back(choice.first);
    return add(member, {name, choice_schema(meaning, names),
                        [member, choices](C& config, const Json& value) {
                          for (const auto& [text, chosen] : choices) {
                            if (text == value.get<std::string>()) config.*member = chosen;
                          }
                        },
                        [member, choices](const C& config) {
                          for (const auto& [text, chosen] : choices) {
                            if (chosen == config.*member) return Json(text);
                          }
                          return Json(nullptr);
                        },
                        nullptr});
  }

  template <class N>
  FieldTable& nested(const std::string& name, N C::*member, const FieldTable<N>& table) {
    return add(member, {name, table.schema(), [](C&, const Json&) {},
                        [member, table](const C& config) { return table.dump(config.*member); },
                        [member, table](C& config, const Json& value, const std::string& where,
                                        std::vector<Problem>& problems) {
                          config.*member = table.parse(value, where, problems);
                        }});
  }

  /// The keys of another table, of the same struct or of one that it inherits.
  template <class Base>
  FieldTable& all_of(const FieldTable<Base>& other) {
    for (const auto& field : other.fields_)
      fields_.push_back({field.name, field.schema, field.read, field.write, field.read_nested,
                         field.has_default, field.member});
    required_.insert(required_.end(), other.required_.begin(), other.required_.end());
    return *this;
  }

  /// The last key added has no default: it must be given.
  FieldTable& required() {
    required_.push_back(fields_.back().name);
    return *this;
  }

  /// The last key added, an object, states no default: each of its keys states its own.
  FieldTable& without_default() {
    fields_.back().has_default = false;
    return *this;
  }

  /// Keys that are missing keep their defaults. Every violation is added to `problems`.
  C parse(const Json& object, const std::string& where, std::vector<Problem>& problems) const {
    C config;
    if (!object.is_object()) {
      problems.push_back({where, "an object", describe(object), ""});
      return config;
    }
    check_keys(object, names(), where, problems);
    for (const auto& name : required_) {
      if (!object.contains(name))
        problems.push_back({key_path(where, name), "a value", "none", "Add this key."});
    }
    for (const auto& field : fields_) {
      if (!object.contains(field.name)) continue;
      const Json& value = object.at(field.name);
      const std::string path = key_path(where, field.name);
      if (field.read_nested) {
        field.read_nested(config, value, path, problems);
      } else if (check_value(value, field.schema, path, problems)) {
        field.read(config, value);
      }
    }
    return config;
  }

  /// As parse, but throws all problems at once.
  C parse_or_throw(const Json& object, const std::string& where, ExitCode code) const {
    std::vector<Problem> problems;
    C config = parse(object, where, problems);
    if (!problems.empty()) throw Error(code, problems);
    return config;
  }

  Json dump(const C& config) const {
    Json object = Json::object();
    for (const auto& field : fields_) object[field.name] = field.write(config);
    return object;
  }

  Json schema() const {
    Json properties = Json::object();
    const Json defaults = dump(C{});
    for (const auto& field : fields_) {
      properties[field.name] = field.schema;
      if (!field.read_nested || field.has_default)
        properties[field.name]["default"] = defaults.at(field.name);
    }
    for (const auto& name : required_) properties[name].erase("default");
    Json schema = {{"type", "object"}, {"description", meaning_}, {"properties", properties}};
    if (!required_.empty()) schema["required"] = required_;
    schema["additionalProperties"] = false;
    return schema;
  }

  /// As dump, but without the keys of some members.
  template <class... Members>
  Json dump_without(const C& config, Members... members) const {
    Json object = dump(config);
    (object.erase(name_of(members)), ...);
    return object;
  }

  /// The key of a member that has one.
  template <class B, class T>
  const std::string& name_of(T B::*member) const {
    const C config{};
    const T C::*own = member;
    for (const auto& field : fields_)
      if (field.member && field.member(config) == &(config.*own)) return field.name;
    throw std::logic_error("a member without a key");
  }

  /// The value that an object has at a member's key; null where it has none.
  template <class B, class T>
  const Json* find(const Json& object, T B::*member) const {
    const auto found = object.find(name_of(member));
    return found == object.end() ? nullptr : &*found;
  }

  const std::string& meaning() const { return meaning_; }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& field : fields_) names.push_back(field.name);
    return names;
  }

 private:
  template <class Other>
  friend class FieldTable;

  struct Field {
    std::string name;
    Json schema;
    std::function<void(C&, const Json&)> read;
    std::function<Json(const C&)> write;
    std::function<void(C&, const Json&, const std::string&, std::vector<Problem>&)> read_nested;
    bool has_default = false;                               // of one that is read_nested: its schema names it
    std::function<const void*(const C&)> member = nullptr;  // where a config holds it; empty: nowhere
  };

  template <class T>
  FieldTable& plain(const std::string& name, T C::*member, const Json& schema) {
    return add(member, {name, schema,
                        [member](C& config, const Json& value) { config.*member = value.template get<T>(); },
                        [member](const C& config) { return Json(config.*member); }, nullptr});
  }

  template <class T>
  FieldTable& add(T C::*member, Field field) {
    field.member = [member](const C& config) -> const void* { return &(config.*member); };
    return add(std::move(field));
  }

  FieldTable& add(Field field) {
    fields_.push_back(std::move(field));
    return *this;
  }

  std::string meaning_;
  std::vector<Field> fields_;
  std::vector<std::string> required_;
};

}  // namespace bilens
