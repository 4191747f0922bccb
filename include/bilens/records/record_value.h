#pragma once

#include <ATen/core/Tensor.h>

#include <concepts>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bilens/core/json.h"

namespace bilens {

/// What the documents say of one key of a record.
struct RecordField {
  std::string name, type, unit, meaning;
  std::vector<RecordField> fields;  // of an object, or of the objects of a list
  bool added_later = false;         // files of an earlier version lack it
};

/// Numbers by name, in their order: "form": seconds, ...
using NamedNumbers = std::vector<std::pair<std::string, double>>;

namespace record_value {

// Each reads one JSON value. What does not fit is added to `problems`, and a default is returned.
double read_number(const Json& value, const std::string& where, std::vector<Problem>& problems);
int64_t read_integer(const Json& value, const std::string& where, std::vector<Problem>& problems);
bool read_flag(const Json& value, const std::string& where, std::vector<Problem>& problems);
std::string read_text(const Json& value, const std::string& where, std::vector<Problem>& problems);
NamedNumbers read_named_numbers(const Json& value, const std::string& where, std::vector<Problem>& problems);
/// float64 [m] or [m, k], from a list of numbers or of equally long lists of numbers.
at::Tensor read_tensor(const Json& value, const std::string& where, std::vector<Problem>& problems);
Json write_tensor(const at::Tensor& tensor);
Json write_named_numbers(const NamedNumbers& numbers);
/// "texts", "lists of texts", ...
std::string plural(const std::string& type);
/// Whether a number, or each one of a list or an object, is between two others, which may be infinite.
bool is_within(const Json& value, double least, double most);
/// Adds the problem of a value that is no list, or none of the names.
void expected(const std::string& what, const Json& value, const std::string& where,
              std::vector<Problem>& problems);

}  // namespace record_value

/// A struct with a table of its own, `static const RecordTable<R>& record()`.
template <class T>
concept HasRecord = requires {
  T::record();
};

/// A config with a table of its own (core/fields.h).
template <class T>
concept HasFields = requires {
  T::fields();
};

/// An enum whose names in files a function gives: `record_names(E) -> vector<pair<string, E>>`.
template <class T>
concept HasNames = std::is_enum_v<T> && requires(T value) {
  record_names(value);
};

/// How a value of a type stands in JSON: its type in words, how it is read and written, and whether null
/// stands for nothing. A number that is not finite is null too.
template <class T>
struct RecordValue;

template <>
struct RecordValue<double> {
  static constexpr bool may_be_null = false;
  static std::string type() { return "number"; }
  static double read(const Json& value, const std::string& where, std::vector<Problem>& problems) {
    return record_value::read_number(value, where, problems);
  }
  static Json write(double value) { return value; }
};

template <>
struct RecordValue<int64_t> {
  static constexpr bool may_be_null = false;
  static std::string type() { return "integer"; }
  static int64_t read(const Json& value, const std::string& where, std::vector<Problem>& problems) {
    return record_value::read_integer(value, where, problems);
  }
  static Json write(int64_t value) { return value; }
};

template <>
struct RecordValue<bool> {
  static constexpr bool may_be_null = false;
  static std::string type() { return "true or false"; }
  static bool read(const Json& value, const std::string& where, std::vector<Problem>& problems) {
    return record_value::read_flag(value, where, problems);
  }
  static Json write(bool value) { return value; }
};

template <>
struct RecordValue<std::string> {
  static constexpr bool may_be_null = false;
  static std::string type() { return "text"; }
  static std::string read(const Json& value, const std::string& where, std::vector<Problem>& problems) {
    return record_value::read_text(value, where, problems);
  }
  static Json write(const std::string& value) { return value; }
};

/// Settings of a config that is not known here.
template <>
struct RecordValue<Json> {
  static constexpr bool may_be_null = false;
  static std::string type() { return "object"; }
  static Json read(const Json& value, const std::string&, std::vector<Problem>&) { return value; }
  static Json write(const Json& value) { return value; }
};

template <>
struct RecordValue<NamedNumbers> {
  static constexpr bool may_be_null = false;
  static std::string type() { return "numbers by name"; }
  static NamedNumbers read(const Json& value, const std::string& where, std::vector<Problem>& problems) {
    return record_value::read_named_numbers(value, where, problems);
  }
  static Json write(const NamedNumbers& value) { return record_value::write_named_numbers(value); }
};

template <>
struct RecordValue<at::Tensor> {
  static constexpr bool may_be_null = false;
  static std::string type() { return "list of numbers"; }
  static at::Tensor read(const Json& value, const std::string& where, std::vector<Problem>& problems) {
    return record_value::read_tensor(value, where, problems);
  }
  static Json write(const at::Tensor& value) { return record_value::write_tensor(value); }
};

/// "float32" or "float64".
template <>
struct RecordValue<at::ScalarType> {
  static constexpr bool may_be_null = false;
  static std::string type() { return "\"float32\", \"float64\""; }
  static at::ScalarType read(const Json& value, const std::string& where, std::vector<Problem>& problems) {
    if (value == Json("float64")) return at::kDouble;
    if (value != Json("float32")) record_value::expected("one of " + type(), value, where, problems);
    return at::kFloat;
  }
  static Json write(at::ScalarType value) { return value == at::kDouble ? "float64" : "float32"; }
};

template <HasNames E>
struct RecordValue<E> {
  static constexpr bool may_be_null = false;
  static std::string type() {
    std::string text;
    for (const auto& [name, value] : record_names(E{})) text += (text.empty() ? "\"" : ", \"") + name + "\"";
    return text;
  }
  static E read(const Json& json, const std::string& where, std::vector<Problem>& problems) {
    for (const auto& [name, value] : record_names(E{}))
      if (json.is_string() && json == Json(name)) return value;
    record_value::expected("one of " + type(), json, where, problems);
    return E{};
  }
  static Json write(E value) {
    for (const auto& [name, named] : record_names(E{}))
      if (named == value) return name;
    return nullptr;
  }
};

/// The name that an enum's value has in files.
template <HasNames E>
std::string record_name(E value) {
  return RecordValue<E>::write(value).template get<std::string>();
}

/// Settings, as the config's own table reads and writes them.
template <HasFields C>
struct RecordValue<C> {
  static constexpr bool may_be_null = false;
  static std::string type() { return "object"; }
  static C read(const Json& value, const std::string& where, std::vector<Problem>& problems) {
    return C::fields().parse(value, where, problems);
  }
  static Json write(const C& value) { return C::fields().dump(value); }
};

template <HasRecord R>
struct RecordValue<R> {
  static constexpr bool may_be_null = false;
  static std::string type() { return "object"; }
  static R read(const Json& value, const std::string& where, std::vector<Problem>& problems) {
    return R::record().read(value, where, problems);
  }
  static Json write(const R& value) { return R::record().write(value); }
};

template <class T>
struct RecordValue<std::optional<T>> {
  static constexpr bool may_be_null = true;
  static std::string type() { return RecordValue<T>::type() + " or null"; }
  static std::optional<T> read(const Json& value, const std::string& where, std::vector<Problem>& problems) {
    if (value.is_null()) return std::nullopt;
    return RecordValue<T>::read(value, where, problems);
  }
  static Json write(const std::optional<T>& value) { return value ? RecordValue<T>::write(*value) : Json(); }
};

template <class T>
struct RecordValue<std::vector<T>> {
  static constexpr bool may_be_null = false;
  static std::string type() { return "list of " + record_value::plural(RecordValue<T>::type()); }
  static std::vector<T> read(const Json& value, const std::string& where, std::vector<Problem>& problems) {
    std::vector<T> list;
    if (!value.is_array()) record_value::expected("a " + type(), value, where, problems);
    for (size_t i = 0; value.is_array() && i < value.size(); ++i)
      list.push_back(RecordValue<T>::read(
          value[i], HasRecord<T> ? where + "[" + std::to_string(i) + "]" : where, problems));
    return list;
  }
  static Json write(const std::vector<T>& list) {
    Json json = Json::array();
    for (const auto& value : list) json.push_back(RecordValue<T>::write(value));
    return json;
  }
};

/// The struct whose table says more of a type: R of R, optional<R> and vector<R>; else void.
template <class T>
struct RecordIn {
  using type = T;
};
template <class T>
struct RecordIn<std::optional<T>> : RecordIn<T> {};
template <class T>
struct RecordIn<std::vector<T>> : RecordIn<T> {};

}  // namespace bilens
