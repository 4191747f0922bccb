#include "bilens/io/idx.h"

#include <ATen/ATen.h>

#include "bilens/core/files.h"
#include "bilens/core/text.h"
#include "bilens/io/gzip.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace {

constexpr int64_t kMaxBytes = int64_t{16} << 30;
constexpr int64_t kMaxRatio = 1032;  // deflate packs no better: a small file cannot hold much

Error bad_idx(const std::filesystem::path& path, const std::string& expected, const std::string& found,
              const std::string& fix = "Obtain the file again, for example with scripts/get_data.sh.") {
  return Error(ExitCode::kBadInput, {path.string(), expected, found, fix});
}

}  // namespace

at::Tensor read_idx(const std::filesystem::path& path, int64_t dimensions) {
  GzipReader reader(path, "an IDX file");
  unsigned char magic[4] = {};
  if (reader.read(magic, 4) < 4 || magic[0] != 0 || magic[1] != 0 || magic[2] != 8 ||
      magic[3] != dimensions) {
    throw bad_idx(path, "the IDX magic 00 00 08 0" + std::to_string(dimensions),
                  format("%02x %02x %02x %02x", magic[0], magic[1], magic[2], magic[3]),
                  "Check that this is the right file.");
  }
  std::vector<int64_t> shape;
  int64_t bytes = 1;
  for (int64_t i = 0; i < dimensions; ++i) {
    unsigned char size[4] = {};
    if (reader.read(size, 4) < 4)
      throw bad_idx(path, "an IDX header of " + std::to_string(dimensions) + " sizes", "a shorter file");
    shape.push_back(int64_t{size[0]} << 24 | size[1] << 16 | size[2] << 8 | size[3]);
    if (__builtin_mul_overflow(bytes, shape.back(), &bytes) || bytes > kMaxBytes) {
      throw bad_idx(path, "at most 16 GiB of data", "sizes " + describe_shape(shape));
    }
  }
  if (bytes / kMaxRatio > static_cast<int64_t>(std::filesystem::file_size(path)))
    throw bad_idx(path, "sizes that a file this small can hold", "sizes " + describe_shape(shape));
  auto values = at::empty(shape, at::kByte);
  const int64_t got = reader.read(values.mutable_data_ptr(), bytes);
  if (got < bytes)
    throw bad_idx(path, std::to_string(bytes) + " bytes of data for " + describe_shape(shape),
                  std::to_string(got));
  char extra = 0;
  if (reader.read(&extra, 1) != 0)
    throw bad_idx(path, "nothing behind the data for " + describe_shape(shape), "more bytes");
  return values;
}

void write_idx(const std::filesystem::path& path, const at::Tensor& values) {
  std::string header = {0, 0, 8, static_cast<char>(values.dim())};
  for (const int64_t size : values.sizes()) {
    for (int shift = 24; shift >= 0; shift -= 8) header += static_cast<char>(size >> shift & 255);
  }
  const auto bytes = values.contiguous();
  AtomicFile file(path);
  file.write(header);
  file.write(bytes.const_data_ptr(), bytes.numel());
  file.commit();
}

}  // namespace bilens
