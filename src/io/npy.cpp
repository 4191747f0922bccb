#include "bilens/io/npy.h"

#include <algorithm>
#include <fstream>
#include <regex>

#include "bilens/core/error.h"

namespace bilens {

namespace {

constexpr std::string_view kNpyMagic = "\x93NUMPY";
constexpr size_t kLongestHeader = 1 << 12;  // that of a row of integers has 128 bytes

/// "{'descr': '<u2', 'fortran_order': False, 'shape': (600,), }"
bool parse(const std::string& dictionary, NpyHeader& header) {
  static const std::regex kDtype(R"('descr': *('([^']*)'|\[.*\]))"),
      kOrder(R"('fortran_order': *(True|False))"), kShape(R"('shape': *\(([0-9, ]*)\))"),
      kNumber("[0-9]{1,18}");
  std::smatch dtype, order, shape;
  if (!std::regex_search(dictionary, dtype, kDtype) || !std::regex_search(dictionary, order, kOrder) ||
      !std::regex_search(dictionary, shape, kShape)) {
    return false;
  }
  header.dtype = dtype[2].matched ? dtype[2].str() : dtype[1].str();
  header.fortran_order = order[1] == "True";
  const std::string sizes = shape[1];
  for (std::sregex_iterator at(sizes.begin(), sizes.end(), kNumber), end; at != end; ++at)
    header.shape.push_back(std::stoll(at->str()));
  return true;
}

}  // namespace

bool is_npy(std::string_view first_bytes) { return first_bytes.starts_with(kNpyMagic); }

NpyHeader read_npy_header(const std::filesystem::path& path) {
  const auto bad = [&](const std::string& found) {
    return Error(ExitCode::kBadInput, {path.string(), "a NumPy array of format version 1, 2 or 3", found,
                                       "Save it again with numpy.save."});
  };
  std::ifstream stream(path, std::ios::binary);
  std::string start(12, '\0');
  stream.read(start.data(), static_cast<std::streamsize>(start.size()));
  if (!stream || !is_npy(start)) throw bad("another or a truncated file");
  const int version = start[6];
  if (version < 1 || version > 3) throw bad("version " + std::to_string(version));
  const size_t width = version == 1 ? 2 : 4, begin = 8 + width;
  size_t length = 0;
  for (size_t i = 0; i < width; ++i) length |= size_t{static_cast<unsigned char>(start[8 + i])} << 8 * i;
  if (length > kLongestHeader) throw bad("a header of " + std::to_string(length) + " bytes");
  std::string dictionary(length, '\0');
  stream.seekg(static_cast<std::streamoff>(begin));
  stream.read(dictionary.data(), static_cast<std::streamsize>(length));
  NpyHeader header;
  if (!stream || !parse(dictionary, header)) throw bad("a damaged header");
  header.offset = static_cast<int64_t>(begin + length);
  return header;
}

}  // namespace bilens
