#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace bilens {

/// A value in a pickle. Nothing is ever executed: where a pickle would call or construct something, what was
/// to be called, and with what, is kept in its place.
struct PickleValue {
  enum class Kind {
    kNone,
    kBool,        // integer
    kInt,         // integer
    kFloat,       // real
    kString,      // text
    kBytes,       // text
    kList,        // items
    kTuple,       // items
    kDict,        // items: key, value, key, value, ...
    kGlobal,      // text: "module.name"
    kCall,        // items: what was to be called, and its arguments, a tuple
    kPersistent,  // items: the one value that names what is stored outside the pickle
    kOther,       // text: a set, a big number: nothing that a model needs
  };

  Kind kind = Kind::kNone;
  int64_t integer = 0;
  double real = 0;
  std::string text;
  std::vector<const PickleValue*> items;

  bool is(Kind other) const { return kind == other; }
  /// Whether it is what the global "module.name" would return.
  bool is_call_of(std::string_view global) const;
};

/// "a list", "the number 5", "an object of os.system": for messages.
std::string describe(const PickleValue& value);

/// A pickle of protocol 2 to 5, read into inert values. Values may contain each other in a circle.
/// Source: https://github.com/python/cpython/blob/main/Lib/pickletools.py
class Pickle {
 public:
  /// @param where names the pickle in messages
  /// @throws Error(kBadInput) with the byte offset: an opcode of another protocol, a length beyond the end, a
  /// stack that does not fit, more than 4 million values.
  Pickle(std::string_view bytes, const std::string& where);

  const PickleValue& root() const { return *root_; }

 private:
  std::deque<PickleValue> values_;
  const PickleValue* root_ = nullptr;
};

}  // namespace bilens
