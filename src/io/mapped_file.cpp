#include "mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "bilens/core/error.h"
#include "bilens/core/sha256.h"

namespace bilens {

MappedFile map_file(const std::filesystem::path& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe must not block
  if (descriptor < 0) throw system_error(path.string(), "read the file", ExitCode::kBadInput);
  struct stat status = {};
  const bool regular = fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
  const size_t size = regular ? static_cast<size_t>(status.st_size) : 0;
  void* mapping = size > 0 ? mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0) : nullptr;
  close(descriptor);
  if (!regular)
    throw Error(ExitCode::kBadInput, {path.string(), "a file", "something else", "Check the path."});
  if (mapping == MAP_FAILED) throw system_error(path.string(), "map the file", ExitCode::kBadInput);
  if (size == 0) return {};
  const auto unmap = [size](const char* data) { munmap(const_cast<char*>(data), size); };
  return {std::shared_ptr<const char>(static_cast<const char*>(mapping), unmap), size};
}

void MappedFile::let_go() const {
  if (data) madvise(const_cast<char*>(data.get()), size, MADV_DONTNEED);
}

std::string MappedFile::sha256() const {
  constexpr size_t kStep = size_t{1} << 22;  // whole pages
  Sha256 hash;
  for (size_t at = 0; at < size; at += kStep) {
    const size_t bytes = std::min(kStep, size - at);
    hash.update(data.get() + at, bytes);
    // The pages stay in the system's cache; only this process lets them go.
    madvise(const_cast<char*>(data.get() + at), bytes, MADV_DONTNEED);
  }
  return hash.hex();
}

}  // namespace bilens
