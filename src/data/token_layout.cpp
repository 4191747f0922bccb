#include "bilens/data/token_layout.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>

#include "bilens/core/error.h"
#include "bilens/core/utf8.h"
#include "bilens/io/npy.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kLlmcHeader = 256 * 4;
constexpr int64_t kLooked = 1 << 18;  // bytes of the start that a guess is held against

Error bad_layout(const fs::path& path, const std::string& expected, const std::string& found,
                 const std::string& fix) {
  return Error(ExitCode::kBadInput, {path.string(), expected, found, fix});
}

std::string first_bytes(const fs::path& path) {
  std::string bytes(kLooked, '\0');
  std::ifstream stream(path, std::ios::binary);
  stream.read(bytes.data(), kLooked);
  bytes.resize(static_cast<size_t>(stream.gcount()));
  return bytes;
}

std::string name_of(at::ScalarType dtype) {
  for (const auto& [name, known] : token_dtypes()) {
    if (known == dtype) return name;
  }
  return c10::toString(dtype);
}

/// A header's dtype against the one that is asked for.
void require_asked(const fs::path& path, const std::string& header, at::ScalarType dtype,
                   std::optional<at::ScalarType> asked) {
  if (!asked || *asked == dtype) return;
  throw bad_layout(path, name_of(*asked) + " ids, as data.dtype says", name_of(dtype) + " by its " + header,
                   "Leave data.dtype out: the header says it.");
}

/// llm.c's: 256 int32, of which magic, version and count are used. None where there is no such header.
std::optional<TokenLayout> llmc_layout(const fs::path& path, std::string_view start, int64_t bytes) {
  std::array<int32_t, 3> header = {};
  if (start.size() >= sizeof header) std::memcpy(header.data(), start.data(), sizeof header);
  const auto [magic, version, count] = header;
  const bool gpt2 = magic == 20240520, llama3 = magic == 20240801;
  if (!gpt2 && !llama3) return std::nullopt;
  if (version != (gpt2 ? 1 : 7)) {
    throw bad_layout(path, gpt2 ? "version 1 of llm.c's format" : "version 7 of llm.c's format",
                     "version " + std::to_string(version), "Write it again with a known version.");
  }
  const TokenLayout layout{kLlmcHeader, count, gpt2 ? at::kUInt16 : at::kUInt32};
  if (count <= 0 || layout.offset + count * layout.width() != bytes) {
    throw bad_layout(path, "as many tokens as its header says, " + std::to_string(count),
                     std::to_string(std::max<int64_t>(0, bytes - kLlmcHeader) / layout.width()) + " (" +
                         std::to_string(bytes) + " bytes)",
                     "The file is incomplete: obtain it again.");
  }
  return layout;
}

TokenLayout npy_layout(const fs::path& path, int64_t bytes) {
  static const std::vector<std::pair<std::string, at::ScalarType>> kDtypes = {
      {"|u1", at::kByte},   {"|i1", at::kChar}, {"<u2", at::kUInt16}, {"<i2", at::kShort},
      {"<u4", at::kUInt32}, {"<i4", at::kInt},  {"<u8", at::kUInt64}, {"<i8", at::kLong}};
  const auto header = read_npy_header(path);
  const auto known = std::find_if(kDtypes.begin(), kDtypes.end(),
                                  [&](const auto& dtype) { return dtype.first == header.dtype; });
  if (known == kDtypes.end()) {
    throw bad_layout(path, "a NumPy array of integers, little-endian", "dtype " + header.dtype,
                     "Save ids.astype(\"<u2\"), or \"<u4\" above 65,535.");
  }
  if (header.shape.size() != 1) {
    throw bad_layout(path, "a NumPy array of one dimension",
                     std::to_string(header.shape.size()) + " dimensions",
                     "Save the ids in one row: ids.ravel().");
  }
  const TokenLayout layout{header.offset, header.shape[0], known->second};
  if (layout.count == 0 || layout.count > bytes || layout.offset + layout.count * layout.width() != bytes) {
    throw bad_layout(path, "as many tokens as its header says, " + std::to_string(layout.count),
                     std::to_string(bytes - layout.offset) + " bytes of them",
                     layout.count == 0 ? "" : "The file is incomplete: obtain it again.");
  }
  return layout;
}

/// Text that nobody would get from ids.
bool is_text(std::string_view start) {
  constexpr size_t kEnough = 16, kRead = 4096;
  if (start.size() < kEnough) return false;
  auto text = start.substr(0, kRead);
  const bool control = std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\f';
  });
  const auto invalid = first_invalid_utf8(text);
  return !control && (!invalid || *invalid + 4 > text.size());  // the last character may be cut
}

/// The name of a format that is known but not read, by how its files begin; "" for none.
std::string other_format(std::string_view start) {
  static const std::vector<std::pair<std::string_view, std::string>> kFormats = {
      {std::string_view("MMIDIDX\0\0", 9), "an index of Megatron's format"},
      {"\x1F\x8B\x08", "a gzip archive"},
      {"\x28\xB5\x2F\xFD", "a Zstandard archive"},
      {"PK\x03\x04", "a zip archive, such as .npz or PyTorch's"},
      {"PAR1", "a Parquet table"},
      {"ARROW1", "an Arrow table"},
      {"\x89HDF\r\n\x1A\n", "an HDF5 file"}};
  for (const auto& [magic, name] : kFormats) {
    if (start.starts_with(magic)) return name;
  }
  return is_text(start) ? "text" : "";
}

/// Reads the start as ids of this type. @return the shares of zeros at even and at odd places
template <class Id>
std::pair<double, double> zeros(std::string_view start) {
  std::array<double, 2> sum = {};
  const size_t pairs = start.size() / sizeof(Id) / 2;
  for (size_t i = 0; i < 2 * pairs; ++i) {
    Id id;
    std::memcpy(&id, start.data() + i * sizeof(Id), sizeof(Id));
    sum[i % 2] += id == 0;
  }
  const auto count = static_cast<double>(std::max<size_t>(pairs, 1));
  return {sum[0] / count, sum[1] / count};
}

/// Whether every second number is the upper half of a wider one: 0, or 0 much more often than its neighbours.
template <class Id>
bool looks_wider(std::string_view start) {
  const auto [even, odd] = zeros<Id>(start);
  return odd == 1.0 || odd - even > 0.5;
}

/// The dtype that a headerless file's bytes read better as than as `guess`; none where the guess is good.
std::optional<at::ScalarType> better_dtype(std::string_view start, at::ScalarType guess) {
  if (guess == at::kUInt16 && !looks_wider<uint16_t>(start)) return std::nullopt;
  const bool long_ids = start.size() >= 8 && looks_wider<uint32_t>(start);
  if (long_ids) return at::kLong;
  return guess == at::kUInt16 ? std::optional<at::ScalarType>(at::kUInt32) : std::nullopt;
}

TokenLayout headerless_layout(const fs::path& path, std::string_view start, int64_t bytes,
                              std::optional<at::ScalarType> asked, int64_t vocabulary) {
  const auto dtype = asked.value_or(vocabulary > 65536 ? at::kUInt32 : at::kUInt16);
  const TokenLayout layout{0, bytes / static_cast<int64_t>(c10::elementSize(dtype)), dtype, !asked};
  if (const auto format = asked ? "" : other_format(start); !format.empty()) {
    throw bad_layout(path, "token ids", format,
                     format == "text" ? "Read it as text: --data text:FILE, or data.dataset=text."
                                      : "Write the ids as plain uint16, uint32 or .npy. " +
                                            how_to_say_dtype(path, "uint16 or uint32"));
  }
  if (bytes == 0 || bytes % layout.width() != 0) {
    throw bad_layout(
        path, "token ids of " + std::to_string(layout.width()) + " bytes each",
        std::to_string(bytes) + " bytes",
        "Check that the file is whole. " +
            (asked ? "Or correct data.dtype." : how_to_say_dtype(path, "uint8, uint16, uint32, int64")));
  }
  if (asked) return layout;
  if (const auto better = better_dtype(start, dtype)) {
    throw bad_layout(
        path, name_of(dtype) + " ids, as of a vocabulary of " + std::to_string(vocabulary),
        "every second one 0, as where " + name_of(*better) + " ids are read so",
        how_to_say_dtype(path, name_of(*better) + ", or with " + name_of(dtype) + " if it is that"));
  }
  return layout;
}

}  // namespace

const std::vector<std::pair<std::string, at::ScalarType>>& token_dtypes() {
  static const std::vector<std::pair<std::string, at::ScalarType>> names = {{"uint8", at::kByte},
                                                                            {"uint16", at::kUInt16},
                                                                            {"uint32", at::kUInt32},
                                                                            {"int32", at::kInt},
                                                                            {"int64", at::kLong}};
  return names;
}

std::string how_to_say_dtype(const fs::path& path, const std::string& dtypes) {
  const auto first = dtypes.substr(0, dtypes.find_first_of(", "));
  return "Say what it holds with data.dtype=" + dtypes +
         "; on the command line --data tokens,dtype=" + first + ":" + path.string() + ".";
}

TokenLayout read_token_layout(const fs::path& path, std::optional<at::ScalarType> asked, int64_t vocabulary) {
  if (!fs::is_regular_file(path))
    throw bad_layout(path, "a token file", fs::is_directory(path) ? "a folder" : "nothing there",
                     "Check the path.");
  const auto bytes = static_cast<int64_t>(fs::file_size(path));
  const auto start = first_bytes(path);
  if (start.starts_with("LITPKDS")) {
    throw bad_layout(
        path, "plain token ids", "lit-gpt's packed format",
        "Write its chunks' ids one after the other as uint16 or .npy, without header and padding.");
  }
  if (is_npy(start)) {
    const auto layout = npy_layout(path, bytes);
    require_asked(path, "NumPy header", layout.dtype, asked);
    return layout;
  }
  if (const auto layout = llmc_layout(path, start, bytes)) {
    require_asked(path, "llm.c header", layout->dtype, asked);
    return *layout;
  }
  return headerless_layout(path, start, bytes, asked, vocabulary);
}

}  // namespace bilens
