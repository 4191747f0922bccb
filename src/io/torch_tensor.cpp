#include "torch_tensor.h"

#include <algorithm>

#include "bilens/core/error.h"
#include "bilens/tensor/shape.h"
#include "tensor_over.h"

namespace bilens {

namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMaxDimensions = 64;

struct DtypeRow {
  const char* storage;  // "" where PyTorch has no storage class of this dtype
  const char* dtype;
  at::ScalarType type;
};

constexpr DtypeRow kDtypes[] = {{"torch.FloatStorage", "torch.float32", at::kFloat},
                                {"torch.DoubleStorage", "torch.float64", at::kDouble},
                                {"torch.HalfStorage", "torch.float16", at::kHalf},
                                {"torch.BFloat16Storage", "torch.bfloat16", at::kBFloat16},
                                {"torch.LongStorage", "torch.int64", at::kLong},
                                {"torch.IntStorage", "torch.int32", at::kInt},
                                {"torch.ShortStorage", "torch.int16", at::kShort},
                                {"torch.CharStorage", "torch.int8", at::kChar},
                                {"torch.ByteStorage", "torch.uint8", at::kByte},
                                {"torch.BoolStorage", "torch.bool", at::kBool},
                                {"torch.storage.UntypedStorage", "torch.uint8", at::kByte},
                                {"", "torch.uint16", at::kUInt16},
                                {"", "torch.uint32", at::kUInt32},
                                {"", "torch.uint64", at::kUInt64},
                                {"", "torch.float8_e4m3fn", at::kFloat8_e4m3fn},
                                {"", "torch.float8_e5m2", at::kFloat8_e5m2}};

Error bad_torch_tensor(const std::string& where, const std::string& expected, const std::string& found) {
  return Error(ExitCode::kBadInput, {where, expected, found, ""});
}

const PickleValue& argument(const PickleValue& call, size_t index, const std::string& where) {
  const auto& arguments = call.items[1]->items;
  if (index >= arguments.size())
    throw bad_torch_tensor(where, "a tensor's storage, offset, shape and strides",
                           std::to_string(arguments.size()) + " values");
  return *arguments[index];
}

int64_t read_count(const PickleValue& value, const std::string& where, const std::string& what) {
  if (!value.is(Kind::kInt) || value.integer < 0)
    throw bad_torch_tensor(where + ": " + what, "a count", describe(value));
  return value.integer;
}

/// A tuple of counts, or torch.Size of one.
std::vector<int64_t> read_counts(const PickleValue& value, const std::string& where,
                                 const std::string& what) {
  if (value.is_call_of("torch.Size") && value.items[1]->items.size() == 1 &&
      value.items[1]->items[0]->is(Kind::kTuple)) {
    return read_counts(*value.items[1]->items[0], where, what);
  }
  const bool sequence = value.is(Kind::kTuple) || value.is(Kind::kList);
  if (!sequence || value.items.size() > kMaxDimensions)
    throw bad_torch_tensor(where + ": " + what, "a tuple of at most 64 counts", describe(value));
  std::vector<int64_t> counts;
  for (const auto* item : value.items) counts.push_back(read_count(*item, where, what));
  return counts;
}

/// Whether PyTorch itself has the name; what else a pickle names may do anything.
bool is_of_torch(const PickleValue& value) {
  return value.is(Kind::kGlobal) && value.text.rfind("torch.", 0) == 0;
}

void name_unreadable(const PickleValue& kind, const std::string& where, const std::string& expected,
                     TorchTensor& tensor) {
  if (!is_of_torch(kind)) throw bad_torch_tensor(where, expected, describe(kind));
  tensor.unreadable = kind.text;
}

/// ("storage", class, key, device, elements)
void read_storage(const PickleValue& value, const std::string& where, TorchTensor& tensor) {
  const bool storage = value.is(Kind::kPersistent) && value.items[0]->is(Kind::kTuple) &&
                       value.items[0]->items.size() >= 5 && value.items[0]->items[0]->text == "storage" &&
                       value.items[0]->items[1]->is(Kind::kGlobal) &&
                       value.items[0]->items[2]->is(Kind::kString);
  if (!storage) throw bad_torch_tensor(where, "a storage", describe(value));
  const auto& parts = value.items[0]->items;
  const auto* row = std::find_if(std::begin(kDtypes), std::end(kDtypes),
                                 [&](const auto& known) { return known.storage == parts[1]->text; });
  if (row == std::end(kDtypes))
    return name_unreadable(*parts[1], where, "a storage of a known dtype", tensor);
  tensor.dtype = row->type;
  tensor.storage = parts[2]->text;
  const auto bytes = tensor_bytes(row->type, {read_count(*parts[4], where, "size of the storage")});
  if (!bytes)
    throw bad_torch_tensor(where, "a storage that fits into memory", describe(*parts[4]) + " of elements");
  tensor.storage_bytes = *bytes;
}

void read_dtype(const PickleValue& value, const std::string& where, TorchTensor& tensor) {
  const auto* row = std::find_if(std::begin(kDtypes), std::end(kDtypes), [&](const auto& known) {
    return value.is(Kind::kGlobal) && known.dtype == value.text;
  });
  if (row == std::end(kDtypes)) return name_unreadable(value, where, "a known dtype", tensor);
  tensor.dtype = row->type;
}

/// Flags that change what the numbers mean: a conjugation or a sign that was put off.
bool has_flags(const PickleValue& call, size_t index) {
  const auto& arguments = call.items[1]->items;
  return index < arguments.size() && arguments[index]->is(Kind::kDict) && !arguments[index]->items.empty();
}

/// Reads what rebuilds a tensor that is not dense, and its shape where that stands in a known place; else the
/// shape is [0].
TorchTensor read_unreadable(const PickleValue& call, const std::string& where) {
  TorchTensor tensor;
  tensor.unreadable = call.items[0]->text;
  tensor.shape = {0};
  const auto& given = call.items[1]->items;
  const auto is_sizes = [](const PickleValue* value) {
    return value->is(Kind::kTuple) || value->is_call_of("torch.Size");
  };
  if (call.is_call_of("torch._utils._rebuild_qtensor") && given.size() > 2)
    tensor.shape = read_counts(*given[2], where, "shape");
  if (call.is_call_of("torch._utils._rebuild_sparse_tensor") && given.size() == 2) {
    const auto& parts = given[1]->items;  // tensors, sizes, flags
    const auto sizes = std::find_if(parts.begin(), parts.end(), is_sizes);
    if (sizes != parts.end()) tensor.shape = read_counts(**sizes, where, "shape");
  }
  return tensor;
}

/// Which bytes of the storage the shape and strides reach, from `offset` elements on.
void find_span(int64_t offset, const std::string& where, TorchTensor& tensor) {
  int64_t last = offset, reach = 0;
  bool fits = tensor.shape.size() == tensor.strides.size();
  for (size_t i = 0; fits && i < tensor.shape.size(); ++i) {
    fits = !__builtin_mul_overflow(std::max<int64_t>(tensor.shape[i] - 1, 0), tensor.strides[i], &reach) &&
           !__builtin_add_overflow(last, reach, &last);
  }
  const auto bytes = tensor_bytes(tensor.dtype, tensor.shape);
  const auto size = static_cast<int64_t>(c10::elementSize(tensor.dtype));
  const int64_t elements = static_cast<int64_t>(tensor.storage_bytes) / size;
  const bool empty = bytes == size_t{0};
  if (!fits || !bytes || (empty ? offset > elements : last >= elements)) {
    throw bad_torch_tensor(where,
                           "shape " + describe_shape(tensor.shape) + ", strides " +
                               describe_shape(tensor.strides) + ", offset " + std::to_string(offset) +
                               " inside the storage",
                           "a storage of " + std::to_string(elements) + " elements");
  }
  tensor.begin = static_cast<size_t>(offset * size);
  tensor.end = empty ? tensor.begin : static_cast<size_t>((last + 1) * size);
}

TorchTensor read_call(const PickleValue& value, const std::string& where, int nesting) {
  const bool wrapped = nesting < 4;
  if (wrapped && (value.is_call_of("torch._utils._rebuild_parameter") ||
                  value.is_call_of("torch._utils._rebuild_parameter_with_state"))) {
    return read_call(argument(value, 0, where), where, nesting + 1);
  }
  if (wrapped && value.is_call_of("torch._tensor._rebuild_from_type_v2")) {  // function, class, its arguments
    const PickleValue inner{Kind::kCall, 0, 0, "", {&argument(value, 0, where), &argument(value, 2, where)}};
    if (!inner.items[1]->is(Kind::kTuple))
      throw bad_torch_tensor(where, "a tuple of arguments", describe(*inner.items[1]));
    return read_call(inner, where, nesting + 1);
  }
  const bool v3 = value.is_call_of("torch._utils._rebuild_tensor_v3");
  if (!v3 && !value.is_call_of("torch._utils._rebuild_tensor_v2")) {
    if (is_tensor(value)) return read_unreadable(value, where);
    throw Error(ExitCode::kBadInput,
                {where, "a tensor", describe(value),
                 "Such objects are not constructed, as that would execute code from the file."});
  }
  TorchTensor tensor;
  if (has_flags(value, v3 ? 7 : 6)) tensor.unreadable = "a tensor whose conjugate or negative is meant";
  read_storage(argument(value, 0, where), where, tensor);
  if (v3) read_dtype(argument(value, 6, where), where, tensor);
  tensor.shape = read_counts(argument(value, 2, where), where, "shape");
  tensor.strides = read_counts(argument(value, 3, where), where, "strides");
  if (!tensor.unreadable.empty()) {
    tensor.dtype = at::ScalarType::Undefined;
    return tensor;
  }
  find_span(read_count(argument(value, 1, where), where, "offset"), where, tensor);
  return tensor;
}

}  // namespace

bool is_tensor(const PickleValue& value) {
  if (!value.is(Kind::kCall) || !value.items[0]->is(Kind::kGlobal)) return false;
  const std::string& name = value.items[0]->text;
  return name.rfind("torch._utils._rebuild_", 0) == 0 || name.rfind("torch._tensor._rebuild_", 0) == 0;
}

TorchTensor read_torch_tensor(const PickleValue& value, const std::string& where) {
  auto tensor = read_call(value, where, 0);
  if (!tensor_bytes(at::kByte, tensor.shape))
    throw bad_torch_tensor(where, "a shape that fits into memory", "shape " + describe_shape(tensor.shape));
  return tensor;
}

}  // namespace bilens
