#include "bilens/io/idx.h"

#include <ATen/ATen.h>
#include <zlib.h>

#include <algorithm>

#include "bilens/core/files.h"
#include "bilens/core/text.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace {

constexpr int64_t kMaxBytes = int64_t{16} << 30;
constexpr int64_t kMaxRatio = 1032;  // deflate packs no better: a small file cannot hold much

Error bad(const std::filesystem::path& path, const std::string& expected, const std::string& found,
          const std::string& fix = "Obtain the file again, for example with scripts/get_data.sh.") {
  return Error(ExitCode::kBadInput, {path.string(), expected, found, fix});
}

/// A stream over a plain or gzip-compressed file.
class Reader {
 public:
  explicit Reader(std::filesystem::path path) : path_(std::move(path)) {
    if (!std::filesystem::is_regular_file(path_)) {
      throw bad(path_, "an IDX file", std::filesystem::is_directory(path_) ? "a folder" : "nothing there",
                "Check the path.");
    }
    file_ = gzopen(path_.c_str(), "rb");
    if (file_ == nullptr) throw system_error(path_.string(), "read the file", ExitCode::kBadInput);
    gzbuffer(file_, 1 << 18);
  }
  ~Reader() { gzclose(file_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  /// Reads up to `bytes`; fewer only at the end of the file.
  int64_t read(void* target, int64_t bytes) {
    int64_t done = 0;
    while (done < bytes) {
      const auto part = static_cast<unsigned>(std::min<int64_t>(bytes - done, 1 << 28));
      const int got = gzread(file_, static_cast<char*>(target) + done, part);
      if (got < 0) fail();
      if (got == 0) break;
      done += got;
    }
    int status = Z_OK;
    gzerror(file_, &status);
    if (status != Z_OK && status != Z_STREAM_END) fail();
    return done;
  }

 private:
  [[noreturn]] void fail() {
    int status = Z_OK;
    const std::string reason = gzerror(file_, &status);
    throw bad(path_, "a whole gzip archive",
              status == Z_BUF_ERROR ? "a truncated one" : "a damaged one (" + reason + ")");
  }

  std::filesystem::path path_;
  gzFile file_ = nullptr;
};

}  // namespace

at::Tensor read_idx(const std::filesystem::path& path, int64_t dimensions) {
  Reader reader(path);
  unsigned char magic[4] = {};
  if (reader.read(magic, 4) < 4 || magic[0] != 0 || magic[1] != 0 || magic[2] != 8 ||
      magic[3] != dimensions) {
    throw bad(path, "the IDX magic 00 00 08 0" + std::to_string(dimensions),
              format("%02x %02x %02x %02x", magic[0], magic[1], magic[2], magic[3]),
              "Check that this is the right file.");
  }
  std::vector<int64_t> shape;
  int64_t bytes = 1;
  for (int64_t i = 0; i < dimensions; ++i) {
    unsigned char size[4] = {};
    if (reader.read(size, 4) < 4)
      throw bad(path, "an IDX header of " + std::to_string(dimensions) + " sizes", "a shorter file");
    shape.push_back(int64_t{size[0]} << 24 | size[1] << 16 | size[2] << 8 | size[3]);
    if (__builtin_mul_overflow(bytes, shape.back(), &bytes) || bytes > kMaxBytes) {
      throw bad(path, "at most 16 GiB of data", "sizes " + describe_shape(shape));
    }
  }
  if (bytes / kMaxRatio > static_cast<int64_t>(std::filesystem::file_size(path)))
    throw bad(path, "sizes that a file this small can hold", "sizes " + describe_shape(shape));
  auto values = at::empty(shape, at::kByte);
  const int64_t got = reader.read(values.mutable_data_ptr(), bytes);
  if (got < bytes)
    throw bad(path, std::to_string(bytes) + " bytes of data for " + describe_shape(shape),
              std::to_string(got));
  char extra = 0;
  if (reader.read(&extra, 1) != 0)
    throw bad(path, "nothing behind the data for " + describe_shape(shape), "more bytes");
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
