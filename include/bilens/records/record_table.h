#pragma once

#include <functional>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "bilens/core/fields.h"
#include "bilens/records/record_value.h"

namespace bilens {

/// The table of the keys that a struct has in a JSON file of ours. It stands beside the struct; the writer,
/// the reader and the tables of docs/formats.md come from it. Keys that it does not name are passed over,
/// since a later version may have added them. A key that is missing is an error, but for those that may be
/// null.
template <class R>
class RecordTable {
 public:
  /// A key whose value is of the member's type (record_value.h).
  template <class T>
  RecordTable& field(const std::string& name, T R::*member, const std::string& meaning,
                     const std::string& unit = "") {
    Entry entry;
    entry.about = {name, RecordValue<T>::type(), unit, meaning, {}};
    using Inner = typename RecordIn<T>::type;
    if constexpr (HasRecord<Inner>) entry.about.fields = Inner::record().fields();
    entry.may_lack = RecordValue<T>::may_be_null;
    entry.read = [member](R& record, const Json& value, const std::string& where,
                          std::vector<Problem>& problems) {
      record.*member = RecordValue<T>::read(value, where, problems);
    };
    entry.write = [member](const R& record) { return RecordValue<T>::write(record.*member); };
    entries_.push_back(std::move(entry));
    return *this;
  }

  /// The keys of another struct, which stand among these and not in an object of their own. They are written
  /// where the member has a value, and read where the first of them is there.
  template <class P>
  RecordTable& part(std::optional<P> R::*member) {
    const auto& table = P::record();
    const std::string first = table.entries_.front().about.name;
    for (const auto& other : table.entries_) {
      Entry entry;
      entry.about = other.about;
      entry.may_lack = true;
      entry.read = [member, other](R& record, const Json& value, const std::string& where,
                                   std::vector<Problem>& problems) {
        if (!(record.*member)) record.*member = P();
        other.read(*(record.*member), value, where, problems);
      };
      entry.holds = [member](const R& record) { return (record.*member).has_value(); };
      entry.write = [member, other](const R& record) { return other.write(*(record.*member)); };
      entry.omits_null = other.omits_null;
      entry.null_if_empty = other.null_if_empty;
      entries_.push_back(std::move(entry));
    }
    return *this;
  }

  /// The keys of a struct that R inherits from.
  template <class Base>
  RecordTable& all_of(const RecordTable<Base>& table) {
    for (const auto& other : table.entries_) {
      entries_.push_back({other.about, other.read, other.write, other.holds, other.may_lack, other.omits_null,
                          other.null_if_empty});
    }
    return *this;
  }

  /// The last key is left out of the file where it would be null.
  RecordTable& omitted() {
    entries_.back().omits_null = true;
    return *this;
  }
  /// The last key is null where the list or the text is empty.
  RecordTable& null_if_empty() {
    entries_.back().null_if_empty = entries_.back().may_lack = true;
    entries_.back().about.type += " or null";
    return *this;
  }
  /// The last key's integers are 0 or more.
  RecordTable& natural() { return within("a natural number", 0, std::numeric_limits<double>::infinity()); }
  /// The last key's numbers are 0 or more.
  RecordTable& not_negative() {
    return within("a number, at least 0", 0, std::numeric_limits<double>::infinity());
  }
  /// The last key's numbers are shares, from 0 to 1 but for rounding.
  RecordTable& share() { return within("a number from 0 to 1", -kRounding, 1 + kRounding); }
  /// Files of an earlier version lack the last key; the member then keeps its default.
  RecordTable& added_later() {
    entries_.back().may_lack = entries_.back().about.added_later = true;
    return *this;
  }

  /// @param where names the object in messages
  R read(const Json& object, const std::string& where, std::vector<Problem>& problems) const {
    R record;
    if (!object.is_object()) {
      record_value::expected("an object", object, where, problems);
      return record;
    }
    for (const auto& entry : entries_) {
      const auto found = object.find(entry.about.name);
      const std::string path = key_path(where, entry.about.name);
      if (found == object.end()) {
        if (!entry.may_lack) problems.push_back({path, "a value", "none", ""});
      } else if (!(entry.null_if_empty && found->is_null())) {
        entry.read(record, *found, path, problems);
      }
    }
    return record;
  }

  Json write(const R& record) const {
    Json object = Json::object();
    for (const auto& entry : entries_) {
      if (entry.holds && !entry.holds(record)) continue;
      Json value = entry.write(record);
      const bool empty = value.is_string() ? value.get_ref<const std::string&>().empty() : value.empty();
      if (entry.null_if_empty && empty) value = nullptr;
      if (!(entry.omits_null && value.is_null())) object[entry.about.name] = std::move(value);
    }
    return object;
  }

  std::vector<RecordField> fields() const {
    std::vector<RecordField> all;
    for (const auto& entry : entries_) all.push_back(entry.about);
    return all;
  }

 private:
  template <class Other>
  friend class RecordTable;

  static constexpr double kRounding = 1e-9;

  /// The last key's numbers, one or several, have a range; null stands for none.
  RecordTable& within(const std::string& what, double least, double most) {
    entries_.back().read = [=, read = entries_.back().read](R& record, const Json& value,
                                                            const std::string& where,
                                                            std::vector<Problem>& problems) {
      if (record_value::is_within(value, least, most)) {
        read(record, value, where, problems);
      } else {
        record_value::expected(what, value, where, problems);
      }
    };
    return *this;
  }

  struct Entry {
    RecordField about;
    std::function<void(R&, const Json&, const std::string&, std::vector<Problem>&)> read;
    std::function<Json(const R&)> write;
    std::function<bool(const R&)> holds;  // empty: always
    bool may_lack = false, omits_null = false, null_if_empty = false;
  };

  std::vector<Entry> entries_;
};

}  // namespace bilens
