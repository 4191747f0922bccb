#pragma once

#include <string>
#include <vector>

#include "bilens/core/json.h"
#include "numbers.h"

namespace bilens::report {

/// Reads an object of a finished file; what is missing or of another type is an Error(kBadInput) that names
/// the place.
class CheckedJson {
 public:
  /// @param where names the object in messages, e.g. "decomposition.json: layers[0]"
  CheckedJson(const Json& object, std::string where);

  bool has(const std::string& key) const;  // present and not null
  std::string text(const std::string& key) const;
  std::string text_or_empty(const std::string& key) const;  // null stands for ""
  int64_t size(const std::string& key) const;               // a natural number
  bool flag(const std::string& key) const;
  /// NaN for null, which stands for a number that is not finite.
  double number(const std::string& key) const;
  std::vector<double> numbers(const std::string& key) const;
  /// A list of strings; none for null or where there is no such key.
  std::vector<std::string> texts(const std::string& key) const;
  /// A list of `rows` lists of `columns` numbers.
  std::vector<std::vector<double>> matrix(const std::string& key, int64_t rows, int64_t columns) const;
  /// A list of objects.
  std::vector<CheckedJson> objects(const std::string& key) const;
  CheckedJson object(const std::string& key) const;

  /// @throws Error(kBadInput) unless the value fits the schema, see check_value
  void require(const std::string& key, const Json& schema) const;
  /// @throws Error(kBadInput) unless "format" and "format_version" are these.
  void require_format(const std::string& format, int64_t version) const;

  const Json& json() const { return *object_; }
  const std::string& where() const { return where_; }

 private:
  const Json& at(const std::string& key) const;
  [[noreturn]] void fail(const std::string& key, const std::string& expected, const Json& found) const;

  const Json* object_;
  std::string where_;
};

/// A file that does not fit what belongs to it.
Error unfit(const std::string& where, const std::string& expected);

}  // namespace bilens::report
