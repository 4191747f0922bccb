#include "pickle.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "bilens/core/error.h"
#include "bilens/core/text.h"

namespace bilens {

namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMaxValues = 4'000'000;
constexpr size_t kMaxName = 1000;  // of a global

/// Opcodes, as pickletools names them.
enum Opcode : unsigned char {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kPopMark = '1',
  kDup = '2',
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kBinFloat = 'G',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinPersId = 'Q',
  kReduce = 'R',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kEmptyList = ']',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kDict = 'd',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kList = 'l',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kSetItems = 'u',
  kEmptyDict = '}',
  kEmptyTuple = ')',
  kProto = 0x80,
  kNewObj = 0x81,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kLong4 = 0x8b,
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kBinBytes8 = 0x8e,
  kEmptySet = 0x8f,
  kAddItems = 0x90,
  kFrozenSet = 0x91,
  kNewObjEx = 0x92,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
  kByteArray8 = 0x96,
};

/// Runs a pickle's opcodes on a stack, the way Python's unpickler does.
class Machine {
 public:
  Machine(std::string_view bytes, std::string where, std::deque<PickleValue>& values)
      : bytes_(bytes), where_(std::move(where)), values_(values) {}

  const PickleValue* run() {
    for (;;) {
      opcode_at_ = position_;
      const auto opcode = static_cast<unsigned char>(take(1)[0]);
      if (opcode == kStop) return pop();
      step(opcode);
    }
  }

 private:
  [[noreturn]] void fail(const std::string& expected, const std::string& found) const {
    throw Error(ExitCode::kBadInput, {where_ + " at byte " + std::to_string(opcode_at_), expected, found,
                                      "The file is damaged, or was not written by torch.save."});
  }

  // --- bytes

  std::string_view take(uint64_t count) {
    const size_t left = bytes_.size() - position_;
    if (count > left) fail(std::to_string(count) + " more bytes", std::to_string(left));
    position_ += count;
    return bytes_.substr(position_ - count, count);
  }
  /// Little-endian.
  uint64_t take_number(size_t size) {
    uint64_t number = 0;
    std::memcpy(&number, take(size).data(), size);
    return number;
  }
  std::string_view take_line() {
    const size_t end = bytes_.find('\n', position_);
    if (end == std::string_view::npos) fail("a line", "no end of it");
    const auto line = take(end - position_);
    take(1);
    return line;
  }

  // --- stack

  PickleValue* make(Kind kind, std::string text = "") {
    if (values_.size() >= kMaxValues) fail("at most " + std::to_string(kMaxValues) + " values", "more");
    values_.emplace_back();
    values_.back().kind = kind;
    values_.back().text = std::move(text);
    return &values_.back();
  }
  void push(PickleValue* value) { stack_.push_back(value); }
  void push(Kind kind, std::string text = "") { push(make(kind, std::move(text))); }
  void push_integer(Kind kind, int64_t integer) {
    push(kind);
    stack_.back()->integer = integer;
  }

  /// The stack above the last mark.
  size_t height() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }
  PickleValue* top() const {
    if (height() == 0) fail("a value on the stack", "none");
    return stack_.back();
  }
  PickleValue* pop() {
    PickleValue* value = top();
    stack_.pop_back();
    return value;
  }
  std::vector<const PickleValue*> pop_to_mark() {
    if (marks_.empty()) fail("a mark on the stack", "none");
    std::vector<const PickleValue*> items(stack_.begin() + static_cast<ptrdiff_t>(marks_.back()),
                                          stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  void push_items(Kind kind, std::vector<const PickleValue*> items) {
    push(kind);
    stack_.back()->items = std::move(items);
  }
  void push_tuple(size_t size) {
    std::vector<const PickleValue*> items(size);
    for (size_t i = size; i-- > 0;) items[i] = pop();
    push_items(Kind::kTuple, std::move(items));
  }

  // --- memo

  void put(uint64_t index) { memo_[index] = top(); }
  void get(uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) fail("something in the memo at " + std::to_string(index), "nothing");
    push(found->second);
  }

  // --- containers, and what Python would construct

  /// Adds to a list or a dictionary; what is given to anything else is the business of objects that we do not
  /// construct.
  void add(PickleValue* target, Kind kind, const std::vector<const PickleValue*>& items) {
    if (target->is(kind)) {
      target->items.insert(target->items.end(), items.begin(), items.end());
    } else if (!target->is(Kind::kCall) && !target->is(Kind::kOther)) {
      fail(kind == Kind::kDict ? "a dictionary to put items into" : "a list to append to", describe(*target));
    }
  }
  void add_to_mark(Kind kind) {
    const auto items = pop_to_mark();
    if (kind == Kind::kDict && items.size() % 2 != 0) fail("a value for each key", "one missing");
    add(top(), kind, items);
  }

  /// What calling a class or a function would give: dictionaries as such, all else not constructed.
  void call(const PickleValue* callable, const PickleValue* arguments) {
    if (!arguments->is(Kind::kTuple)) fail("a tuple of arguments", describe(*arguments));
    for (const char* dictionary : {"collections.OrderedDict", "collections.defaultdict", "builtins.dict"}) {
      if (callable->is(Kind::kGlobal) && callable->text == dictionary) return push(Kind::kDict);
    }
    push_items(Kind::kCall, {callable, arguments});
  }

  void step(unsigned char opcode) {
    switch (opcode) {
      case kProto: {
        const uint64_t protocol = take_number(1);
        if (protocol < 2 || protocol > 5) fail("pickle protocol 2 to 5", std::to_string(protocol));
        return;
      }
      case kFrame: take_number(8); return;
      case kMark: marks_.push_back(stack_.size()); return;
      case kPop:
        if (height() == 0 && !marks_.empty()) return marks_.pop_back();
        pop();
        return;
      case kPopMark: pop_to_mark(); return;
      case kDup: push(top()); return;

      case kNone: push(Kind::kNone); return;
      case kNewTrue: push_integer(Kind::kBool, 1); return;
      case kNewFalse: push_integer(Kind::kBool, 0); return;
      case kBinInt: push_integer(Kind::kInt, static_cast<int32_t>(take_number(4))); return;
      case kBinInt1: push_integer(Kind::kInt, static_cast<int64_t>(take_number(1))); return;
      case kBinInt2: push_integer(Kind::kInt, static_cast<int64_t>(take_number(2))); return;
      case kLong1: push_long(take(take_number(1))); return;
      case kLong4: push_long(take(take_number(4))); return;
      case kBinFloat: push_float(take(8)); return;

      case kShortBinUnicode: push(Kind::kString, std::string(take(take_number(1)))); return;
      case kBinUnicode: push(Kind::kString, std::string(take(take_number(4)))); return;
      case kBinUnicode8: push(Kind::kString, std::string(take(take_number(8)))); return;
      case kShortBinString: push(Kind::kString, std::string(take(take_number(1)))); return;
      case kBinString: push(Kind::kString, std::string(take(take_number(4)))); return;
      case kShortBinBytes: push(Kind::kBytes, std::string(take(take_number(1)))); return;
      case kBinBytes: push(Kind::kBytes, std::string(take(take_number(4)))); return;
      case kBinBytes8: push(Kind::kBytes, std::string(take(take_number(8)))); return;
      case kByteArray8: push(Kind::kBytes, std::string(take(take_number(8)))); return;

      case kEmptyList: push(Kind::kList); return;
      case kList: push_items(Kind::kList, pop_to_mark()); return;
      case kAppend: append(Kind::kList, 1); return;
      case kAppends: add_to_mark(Kind::kList); return;
      case kEmptyTuple: push_tuple(0); return;
      case kTuple1: push_tuple(1); return;
      case kTuple2: push_tuple(2); return;
      case kTuple3: push_tuple(3); return;
      case kTuple: push_items(Kind::kTuple, pop_to_mark()); return;
      case kEmptyDict: push(Kind::kDict); return;
      case kDict: push_dict(); return;
      case kSetItem: append(Kind::kDict, 2); return;
      case kSetItems: add_to_mark(Kind::kDict); return;
      case kEmptySet: push(Kind::kOther, "a set"); return;
      case kAddItems: add_to_mark(Kind::kOther); return;
      case kFrozenSet:
        pop_to_mark();
        push(Kind::kOther, "a set");
        return;

      case kBinPut: put(take_number(1)); return;
      case kLongBinPut: put(take_number(4)); return;
      case kMemoize: put(memo_.size()); return;
      case kBinGet: get(take_number(1)); return;
      case kLongBinGet: get(take_number(4)); return;

      case kGlobal: push_global(); return;
      case kStackGlobal: push_stack_global(); return;
      case kBinPersId: push_items(Kind::kPersistent, {pop()}); return;
      case kReduce:
      case kNewObj: {
        const auto* arguments = pop();
        return call(pop(), arguments);
      }
      case kNewObjEx: {
        pop();  // named arguments
        const auto* arguments = pop();
        return call(pop(), arguments);
      }
      case kBuild:
        pop();
        top();
        return;  // the state of an object that is not constructed
      default:
        fail("an opcode of pickle protocol 2 to 5",
             format("0x%02x%s", opcode, opcode < 0x80 ? " (of protocol 0 or 1?)" : ""));
    }
  }

  void append(Kind kind, size_t count) {
    std::vector<const PickleValue*> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    add(top(), kind, items);
  }

  void push_dict() {
    auto items = pop_to_mark();
    if (items.size() % 2 != 0) fail("a value for each key", "one missing");
    push_items(Kind::kDict, std::move(items));
  }

  /// Two's complement, little-endian, of any length.
  void push_long(std::string_view bytes) {
    if (bytes.size() > sizeof(int64_t)) return push(Kind::kOther, "a number of more than 64 bits");
    const bool negative = !bytes.empty() && static_cast<signed char>(bytes.back()) < 0;
    int64_t number = negative ? -1 : 0;
    std::memcpy(&number, bytes.data(), bytes.size());
    push_integer(Kind::kInt, number);
  }

  /// Big-endian.
  void push_float(std::string_view bytes) {
    std::string reversed(bytes.rbegin(), bytes.rend());
    push(Kind::kFloat);
    std::memcpy(&stack_.back()->real, reversed.data(), sizeof(double));
  }

  void push_global() {
    const auto module = take_line();
    push_global(module, take_line());
  }
  void push_stack_global() {
    const auto* name = pop();
    const auto* module = pop();
    if (!name->is(Kind::kString) || !module->is(Kind::kString))
      fail("names of a module and of something in it", describe(*name));
    push_global(module->text, name->text);
  }
  void push_global(std::string_view module, std::string_view name) {
    if (module.size() + name.size() > kMaxName) fail("names of a reasonable length", "a longer one");
    push(Kind::kGlobal, std::string(module) + "." + std::string(name));
  }

  std::string_view bytes_;
  std::string where_;
  std::deque<PickleValue>& values_;
  size_t position_ = 0, opcode_at_ = 0;
  std::vector<PickleValue*> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, PickleValue*> memo_;
};

}  // namespace

bool PickleValue::is_call_of(std::string_view global) const {
  return kind == Kind::kCall && items[0]->kind == Kind::kGlobal && items[0]->text == global;
}

std::string describe(const PickleValue& value) {
  const auto shortened = [](const std::string& text) {
    return text.size() > 60 ? text.substr(0, 57) + "..." : text;
  };
  switch (value.kind) {
    case Kind::kNone: return "None";
    case Kind::kBool: return value.integer != 0 ? "True" : "False";
    case Kind::kInt: return "the number " + std::to_string(value.integer);
    case Kind::kFloat: return format("the number %g", value.real);
    case Kind::kString: return "the string \"" + shortened(value.text) + "\"";
    case Kind::kBytes: return "bytes";
    case Kind::kList: return "a list";
    case Kind::kTuple: return "a tuple";
    case Kind::kDict: return "a dictionary";
    case Kind::kGlobal: return shortened(value.text);
    case Kind::kCall:
      return "an object of " +
             (value.items[0]->is(Kind::kGlobal) ? shortened(value.items[0]->text) : "something");
    case Kind::kPersistent: return "a storage";
    case Kind::kOther: return value.text;
  }
  return "";
}

Pickle::Pickle(std::string_view bytes, const std::string& where)
    : root_(Machine(bytes, where, values_).run()) {}

}  // namespace bilens
