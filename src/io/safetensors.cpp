#include "bilens/io/safetensors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>

#include "bilens/core/files.h"
#include "bilens/tensor/range.h"
#include "bilens/tensor/shape.h"
#include "impostors.h"
#include "mapped_file.h"
#include "tensor_over.h"

namespace bilens {

namespace {

constexpr uint64_t kMaxHeader = 100'000'000;  // the reference reader's limit

/// In the order of the reference writer's enumeration, which is the order of tensors in a file it wrote
/// (widest first).
const std::vector<std::pair<std::string, at::ScalarType>>& dtypes() {
  static const std::vector<std::pair<std::string, at::ScalarType>> table = {{"U64", at::kUInt64},
                                                                            {"I64", at::kLong},
                                                                            {"F64", at::kDouble},
                                                                            {"F32", at::kFloat},
                                                                            {"U32", at::kUInt32},
                                                                            {"I32", at::kInt},
                                                                            {"BF16", at::kBFloat16},
                                                                            {"F16", at::kHalf},
                                                                            {"U16", at::kUInt16},
                                                                            {"I16", at::kShort},
                                                                            {"F8_E4M3", at::kFloat8_e4m3fn},
                                                                            {"F8_E5M2", at::kFloat8_e5m2},
                                                                            {"I8", at::kChar},
                                                                            {"U8", at::kByte},
                                                                            {"BOOL", at::kBool}};
  return table;
}

/// Dtypes of the format that LibTorch or its operations do not have, and their bits.
constexpr std::pair<const char*, int64_t> kUnreadable[] = {
    {"F4", 4},   {"F6_E2M3", 6},     {"F6_E3M2", 6},    {"F8_E8M0", 8},
    {"C64", 64}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}};

size_t dtype_rank(at::ScalarType dtype) {
  for (size_t i = 0; i < dtypes().size(); ++i) {
    if (dtypes()[i].second == dtype) return i;
  }
  throw std::logic_error(std::string("safetensors has no dtype ") + c10::toString(dtype));
}

Error bad_safetensors(const std::string& where, const std::string& expected, const std::string& found,
                      const std::string& fix = "The file is damaged: obtain or write it again.") {
  return Error(ExitCode::kBadInput, {where, expected, found, fix});
}

/// Bytes by shape and dtype; nothing where they do not fit into memory, or are no whole bytes.
std::optional<size_t> bytes_of(const TensorInfo& info) {
  if (info.unreadable.empty()) return tensor_bytes(info.dtype, info.shape);
  const auto numbers = tensor_bytes(at::kByte, info.shape);
  for (const auto& [name, bits] : kUnreadable) {
    int64_t all = 0;
    if (info.unreadable != name || !numbers) continue;
    if (__builtin_mul_overflow(static_cast<int64_t>(*numbers), bits, &all) || all % 8 != 0)
      return std::nullopt;
    return static_cast<size_t>(all / 8);
  }
  return numbers ? std::optional(info.end - info.begin) : std::nullopt;  // of a dtype newer than this program
}

TensorInfo read_entry(const std::string& where, const Json& entry) {
  if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") ||
      !entry.contains("data_offsets")) {
    throw bad_safetensors(where, "dtype, shape and data_offsets", describe(entry));
  }
  const Json& dtype = entry.at("dtype");
  if (!dtype.is_string() || dtype.get_ref<const std::string&>().empty())
    throw bad_safetensors(where, "the name of a known dtype", describe(dtype));
  const auto known =
      std::find_if(dtypes().begin(), dtypes().end(), [&](const auto& row) { return dtype == row.first; });

  const auto natural_numbers = [](const Json& list) {
    return list.is_array() &&
           std::all_of(list.begin(), list.end(), [](const Json& x) { return x.is_number_unsigned(); });
  };
  const Json& offsets = entry.at("data_offsets");
  if (!natural_numbers(entry.at("shape")))
    throw bad_safetensors(where, "a shape of non-negative integers", entry.at("shape").dump());
  if (!natural_numbers(offsets) || offsets.size() != 2)
    throw bad_safetensors(where, "two data_offsets", offsets.dump());

  TensorInfo info{at::ScalarType::Undefined, {}, offsets[0].get<size_t>(), offsets[1].get<size_t>()};
  if (known == dtypes().end()) {
    info.unreadable = dtype.get<std::string>();
  } else {
    info.dtype = known->second;
  }
  if (info.begin > info.end)
    throw bad_safetensors(where, "data_offsets that do not decrease", offsets.dump());
  for (const auto& size : entry.at("shape")) info.shape.push_back(size.get<int64_t>());
  const auto bytes = bytes_of(info);
  if (!bytes)
    throw bad_safetensors(where, "a shape of whole bytes that fits into memory", entry.at("shape").dump());
  if (*bytes != info.end - info.begin) {
    throw bad_safetensors(where,
                          std::to_string(*bytes) + " bytes for dtype and shape " + describe_shape(info.shape),
                          "a span of " + std::to_string(info.end - info.begin));
  }
  return info;
}

/// null is as good as none, as in the reference.
Json read_metadata(const std::string& where, const Json& entry) {
  if (entry.is_null()) return Json::object();
  const bool strings = entry.is_object() && std::all_of(entry.begin(), entry.end(),
                                                        [](const Json& value) { return value.is_string(); });
  if (!strings) throw bad_safetensors(where, "an object of strings", describe(entry));
  return entry;
}

/// The tensors must tile the data section: no gap, no overlap, nothing behind.
void check_tiling(const std::string& path, const std::map<std::string, TensorInfo>& tensors,
                  size_t data_bytes) {
  std::vector<std::pair<const std::string*, const TensorInfo*>> by_offset;
  for (const auto& [name, info] : tensors) by_offset.emplace_back(&name, &info);
  std::sort(by_offset.begin(), by_offset.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second->begin, a.second->end) < std::pair(b.second->begin, b.second->end);
  });
  size_t next = 0;
  for (const auto& [name, info] : by_offset) {
    if (info->begin != next) {
      throw bad_safetensors(path + ": " + *name,
                            "data at offset " + std::to_string(next) + " (no gap, no overlap)",
                            "offset " + std::to_string(info->begin));
    }
    next = info->end;
  }
  if (next != data_bytes) {
    throw bad_safetensors(path, std::to_string(next) + " bytes of data", std::to_string(data_bytes),
                          next > data_bytes
                              ? "The file is truncated: obtain or write it again."
                              : "There are bytes behind the last tensor: obtain or write it again.");
  }
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : SafetensorsFile(path, map_file(path)) {}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path, const MappedFile& file)
    : WeightFile(path, file) {
  if (file.size < 10) {
    refuse_impostors(path, file);
    throw bad_safetensors(path.string(), "a safetensors file of at least 10 bytes",
                          std::to_string(file.size) + " bytes");
  }
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data.get(), 8);
  const uint64_t most = std::min<uint64_t>(kMaxHeader, file.size - 8);
  if (header_bytes < 2 || header_bytes > most) {
    refuse_impostors(path, file);
    throw bad_safetensors(path.string() + " at byte 0",
                          "the length of a safetensors header, 2 to " + std::to_string(most) + " bytes",
                          std::to_string(header_bytes), "The file is damaged, or no safetensors file.");
  }
  const std::string text(file.data.get() + 8, header_bytes);
  if (text[0] != '{')
    throw bad_safetensors(path.string() + " at byte 8", "a header that starts with {", "another character");
  const Json header = parse_json(text, path.string() + " (header)", ExitCode::kBadInput);
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      metadata_ = read_metadata(path.string() + ": " + name, entry);
    } else {
      tensors_.emplace(name, read_entry(path.string() + ": " + name, entry));
    }
  }
  check_tiling(path.string(), tensors_, file.size - 8 - header_bytes);
  require_readable();
  data_ = std::shared_ptr<const char>(file.data, file.data.get() + 8 + header_bytes);
}

at::Tensor SafetensorsFile::load(const std::string&, const TensorInfo& info) const {
  return tensor_over({data_, data_.get() + info.begin}, info.dtype, info.shape);
}

size_t TensorSpec::bytes() const {
  size_t bytes = c10::elementSize(dtype);
  for (const int64_t size : shape) bytes *= static_cast<size_t>(size);
  return bytes;
}

std::string start_safetensors(std::vector<TensorSpec>& specs, const Json& metadata) {
  std::sort(specs.begin(), specs.end(), [](const auto& a, const auto& b) {
    return std::pair(dtype_rank(a.dtype), a.name) < std::pair(dtype_rank(b.dtype), b.name);
  });
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  size_t offset = 0;
  for (const auto& spec : specs) {
    const size_t end = offset + spec.bytes();
    header[spec.name] = {{"dtype", dtypes()[dtype_rank(spec.dtype)].first},
                         {"shape", spec.shape},
                         {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t header_bytes = text.size();
  std::string size(8, '\0');
  std::memcpy(size.data(), &header_bytes, 8);
  return size + text;
}

void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors, const Json& metadata,
                       std::optional<at::ScalarType> dtype) {
  std::vector<TensorSpec> specs;
  std::map<std::string, at::Tensor> by_name;
  for (const auto& [name, tensor] : tensors) {
    specs.push_back({name, dtype.value_or(tensor.scalar_type()), tensor.sizes().vec()});
    by_name[name] = tensor;
  }
  AtomicFile file(path);
  file.write(start_safetensors(specs, metadata));
  for (const auto& spec : specs) {
    require_range(by_name.at(spec.name), spec.dtype, path.string() + ": " + spec.name);
    const auto dense = by_name.at(spec.name).detach().to(at::kCPU, spec.dtype).contiguous();
    file.write(dense.const_data_ptr(), dense.numel() * dense.element_size());
  }
  file.commit();
}

}  // namespace bilens
