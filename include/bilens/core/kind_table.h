#pragma once

#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "bilens/core/fields.h"

namespace bilens {

/// The schema of one kind of objects, in which the tag must be given.
Json kind_schema(Json schema, const std::string& tag);

/// The words of the tag in the schema of a kind.
std::vector<std::string> kind_words(const Json& schema, const std::string& tag);

/// Which of several kinds an object is, by its tag. Nothing, and a problem, where the tag is missing or none
/// of the kinds' words. @param fix what to do about a missing one
std::optional<size_t> kind_of(const Json& object, const std::string& tag, const std::vector<Json>& schemas,
                              const std::string& fix, const std::string& where,
                              std::vector<Problem>& problems);

/// Several kinds of objects at one place of a config, each by a table of its own. All these tables have one
/// key in common, the tag, whose words tell the kind. T is the config that all of them read, or a variant of
/// theirs.
template <class T>
class KindTable {
 public:
  /// @param fix what to do where the tag is missing
  explicit KindTable(std::string tag, std::string fix = "") : tag_(std::move(tag)), fix_(std::move(fix)) {}

  /// @param table has the tag, as a choice of words that no other kind has
  template <class C>
  KindTable& kind(const FieldTable<C>& table) {
    schemas_.push_back(kind_schema(table.schema(), tag_));
    read_.push_back([table](const Json& object, const std::string& where, std::vector<Problem>& problems) {
      return T(table.parse(object, where, problems));
    });
    write_.push_back([table](const T& value) {
      if constexpr (std::is_same_v<T, C>) {
        return table.dump(value);
      } else {
        const auto* config = std::get_if<C>(&value);
        return config == nullptr ? Json::object() : table.dump(*config);
      }
    });
    return *this;
  }

  /// One for each kind, in their order.
  const std::vector<Json>& schemas() const { return schemas_; }

  /// The words of all kinds, in their order.
  std::vector<std::string> words() const {
    std::vector<std::string> all;
    for (const auto& schema : schemas_)
      for (const auto& word : kind_words(schema, tag_)) all.push_back(word);
    return all;
  }

  /// An object with a tag, or a tag's word, which stands for an object without other keys. Nothing where the
  /// kind is not known. Every violation is added to `problems`.
  std::optional<T> read(const Json& given, const std::string& where, std::vector<Problem>& problems) const {
    const Json object = given.is_string() ? Json::object({{tag_, given}}) : given;
    const auto kind = kind_of(object, tag_, schemas_, fix_, where, problems);
    return kind ? std::optional<T>(read_[*kind](object, where, problems)) : std::nullopt;
  }

  /// An object with all keys of its kind; null of a T that is none of the kinds.
  Json write(const T& value) const {
    for (const auto& write : write_) {
      Json object = write(value);
      if (!object.value(tag_, Json()).is_null()) return object;
    }
    return nullptr;
  }

 private:
  using Read = std::function<T(const Json&, const std::string&, std::vector<Problem>&)>;

  std::string tag_, fix_;
  std::vector<Json> schemas_;
  std::vector<Read> read_;
  std::vector<std::function<Json(const T&)>> write_;
};

}  // namespace bilens
