#include "bilens/core/disk.h"

#include <fcntl.h>
#include <unistd.h>

#include <vector>

#include "bilens/core/stopwatch.h"

namespace bilens {

double measure_write_rate(std::filesystem::path path) {
  constexpr size_t kBytes = size_t{16} << 20;
  std::error_code error;
  path = std::filesystem::absolute(path, error);
  while (!std::filesystem::is_directory(path, error) && path.has_relative_path()) path = path.parent_path();
  const int descriptor = open(path.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
  if (descriptor < 0) return 0;
  const std::vector<char> bytes(kBytes, 'b');
  const Stopwatch watch;
  const bool written =
      write(descriptor, bytes.data(), kBytes) == static_cast<ssize_t>(kBytes) && fsync(descriptor) == 0;
  const double taken = watch.seconds();
  close(descriptor);
  return written ? static_cast<double>(kBytes) / taken : 0;
}

}  // namespace bilens
