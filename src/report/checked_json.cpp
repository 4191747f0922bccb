#include "checked_json.h"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <utility>

#include "bilens/core/fields.h"
#include "bilens/core/text.h"

namespace bilens::report {

namespace {

bool is_number_or_null(const Json& value) { return value.is_number() || value.is_null(); }

double number_of(const Json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

}  // namespace

CheckedJson::CheckedJson(const Json& object, std::string where) : object_(&object), where_(std::move(where)) {
  if (!object.is_object())
    throw Error(ExitCode::kBadInput, {where_, "an object", describe(object), "Write the file again."});
}

void CheckedJson::fail(const std::string& key, const std::string& expected, const Json& found) const {
  throw Error(ExitCode::kBadInput,
              {key_path(where_, key), expected, describe(found), "Write the file again."});
}

const Json& CheckedJson::at(const std::string& key) const {
  const auto found = object_->find(key);
  if (found == object_->end()) {
    throw Error(ExitCode::kBadInput, {key_path(where_, key), "a value", "none", "Write the file again."});
  }
  return *found;
}

bool CheckedJson::has(const std::string& key) const {
  const auto found = object_->find(key);
  return found != object_->end() && !found->is_null();
}

std::string CheckedJson::text(const std::string& key) const {
  if (!at(key).is_string()) fail(key, "a string", at(key));
  return at(key).get<std::string>();
}

std::string CheckedJson::text_or_empty(const std::string& key) const { return has(key) ? text(key) : ""; }

int64_t CheckedJson::size(const std::string& key) const {
  const bool natural = at(key).is_number_unsigned() && at(key).get<uint64_t>() <= uint64_t{1} << 53;
  if (!natural) fail(key, "a natural number", at(key));
  return at(key).get<int64_t>();
}

bool CheckedJson::flag(const std::string& key) const {
  if (!at(key).is_boolean()) fail(key, "true or false", at(key));
  return at(key).get<bool>();
}

double CheckedJson::number(const std::string& key) const {
  if (!is_number_or_null(at(key))) fail(key, "a number", at(key));
  return number_of(at(key));
}

std::vector<double> CheckedJson::numbers(const std::string& key) const {
  const Json& list = at(key);
  if (!list.is_array()) fail(key, "a list of numbers", list);
  std::vector<double> values;
  for (const auto& value : list) {
    if (!is_number_or_null(value)) fail(key, "a list of numbers", value);
    values.push_back(number_of(value));
  }
  return values;
}

std::vector<std::vector<double>> CheckedJson::matrix(const std::string& key, int64_t rows,
                                                     int64_t columns) const {
  const std::string expected = std::to_string(rows) + " lists of " + std::to_string(columns) + " numbers";
  const Json& list = at(key);
  if (!list.is_array() || list.size() != static_cast<size_t>(rows)) fail(key, expected, list);
  std::vector<std::vector<double>> matrix;
  for (const auto& row : list) {
    if (!row.is_array() || row.size() != static_cast<size_t>(columns)) fail(key, expected, row);
    std::vector<double> values;
    for (const auto& value : row) {
      if (!is_number_or_null(value)) fail(key, expected, value);
      values.push_back(number_of(value));
    }
    matrix.push_back(std::move(values));
  }
  return matrix;
}

std::vector<std::string> CheckedJson::texts(const std::string& key) const {
  if (!has(key)) return {};
  require(key, {{"type", "array"}, {"items", {{"type", "string"}}}});
  return at(key).get<std::vector<std::string>>();
}

std::vector<CheckedJson> CheckedJson::objects(const std::string& key) const {
  const Json& list = at(key);
  if (!list.is_array()) fail(key, "a list of objects", list);
  std::vector<CheckedJson> objects;
  for (size_t i = 0; i < list.size(); ++i) {
    objects.emplace_back(list[i], key_path(where_, key + "[" + std::to_string(i) + "]"));
  }
  return objects;
}

CheckedJson CheckedJson::object(const std::string& key) const { return {at(key), key_path(where_, key)}; }

void CheckedJson::require(const std::string& key, const Json& schema) const {
  std::vector<Problem> problems;
  check_value(at(key), schema, key_path(where_, key), problems);
  if (!problems.empty()) throw Error(ExitCode::kBadInput, problems);
}

void CheckedJson::require_format(const std::string& format, int64_t version) const {
  if (text("format") == format && size("format_version") == version) return;
  throw Error(ExitCode::kBadInput,
              {where_, format + ", version " + std::to_string(version),
               text("format") + ", version " + at("format_version").dump(),
               "It was written by another bilens: use that one, or write the file again."});
}

Error unfit(const std::string& where, const std::string& expected) {
  return Error(ExitCode::kBadInput, {where, expected, "others", "Write the file again."});
}

}  // namespace bilens::report
