#include "bilens/io/safetensors_rows.h"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "bilens/core/files.h"
#include "bilens/tensor/range.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

void write_at(int descriptor, const char* data, size_t bytes, size_t offset, const fs::path& path) {
  while (bytes > 0) {
    const ssize_t written = pwrite(descriptor, data, bytes, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw system_error(path.string(), "write the file", ExitCode::kFailure);
    data += written;
    bytes -= static_cast<size_t>(written);
    offset += static_cast<size_t>(written);
  }
}

}  // namespace

fs::path SafetensorsRows::part_of(const fs::path& path) { return path.string() + ".part"; }

SafetensorsRows::SafetensorsRows(fs::path path, std::vector<TensorSpec> specs, const Json& metadata)
    : path_(std::move(path)), part_(part_of(path_)) {
  const std::string start = start_safetensors(specs, metadata);
  data_ = start.size();
  size_t end = 0;
  for (const auto& spec : specs) {
    tensors_[spec.name] = {spec.dtype, spec.shape, end, end + spec.bytes()};
    end += spec.bytes();
  }
  descriptor_ = open(part_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw system_error(part_.string(), "write the file", ExitCode::kFailure);
  errno = posix_fallocate(descriptor_, 0, static_cast<off_t>(data_ + end));
  if (errno != 0) {
    const Error error = system_error(
        part_.string(), "reserve " + std::to_string(data_ + end) + " bytes for the file", ExitCode::kFailure);
    close(descriptor_);
    unlink(part_.c_str());
    throw error;
  }
  write_at(descriptor_, start.data(), start.size(), 0, part_);
}

SafetensorsRows::SafetensorsRows(fs::path path) : path_(std::move(path)), part_(part_of(path_)) {
  const SafetensorsFile file(part_);
  tensors_ = file.tensors();
  size_t end = 0;
  for (const auto& [name, info] : tensors_) end = std::max(end, info.end);
  data_ = fs::file_size(part_) - end;
  descriptor_ = open(part_.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor_ < 0) throw system_error(part_.string(), "write the file", ExitCode::kFailure);
}

SafetensorsRows::~SafetensorsRows() {
  if (descriptor_ >= 0) close(descriptor_);
}

void SafetensorsRows::write(const std::string& name, int64_t first, const at::Tensor& rows) {
  const auto& info = tensors_.at(name);
  auto shape = info.shape;
  shape.front() = -1;
  require_shape(rows, shape, part_.string() + ": " + name);
  require_range(rows, info.dtype, part_.string() + ": " + name);
  const auto dense = rows.detach().cpu().to(info.dtype).contiguous();
  const size_t row =
      info.shape.front() == 0 ? 0 : (info.end - info.begin) / static_cast<size_t>(info.shape.front());
  write_at(descriptor_, static_cast<const char*>(dense.const_data_ptr()), dense.nbytes(),
           data_ + info.begin + static_cast<size_t>(first) * row, part_);
}

void SafetensorsRows::sync() {
  if (fdatasync(descriptor_) != 0) throw system_error(part_.string(), "write the file", ExitCode::kFailure);
}

void SafetensorsRows::commit() {
  sync();
  close(std::exchange(descriptor_, -1));
  put_file_in_place(part_, path_);
}

}  // namespace bilens
