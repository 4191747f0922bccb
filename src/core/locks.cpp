#include "bilens/core/locks.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "bilens/core/files.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr const char* kLock = ".bilens-lock";

/// Whether the open file is the one that has this path.
bool stands_at(int descriptor, const fs::path& path) {
  struct stat opened = {}, there = {};
  return fstat(descriptor, &opened) == 0 && stat(path.c_str(), &there) == 0 &&
         opened.st_dev == there.st_dev && opened.st_ino == there.st_ino;
}

int open_lock(const fs::path& file) {
  const int descriptor = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0)
    throw system_error(file.parent_path().string(), "write in the folder", ExitCode::kFailure);
  return descriptor;
}

/// LOCK_EX or LOCK_SH; false where another holder stands in the way. Closes the file when it throws.
bool try_lock(int descriptor, int operation, const fs::path& file) {
  if (flock(descriptor, operation | LOCK_NB) == 0) return true;
  if (errno == EWOULDBLOCK) return false;
  const auto error =
      system_error(file.parent_path().string(), "lock a file in the folder", ExitCode::kFailure);
  close(descriptor);
  throw error;
}

/// Opens a lock's file and locks it; -1 where another holder stands in the way.
int open_locked(const fs::path& file, int operation) {
  for (;;) {
    const int descriptor = open_lock(file);
    const bool got = try_lock(descriptor, operation, file);
    if (got && stands_at(descriptor, file)) return descriptor;
    close(descriptor);
    if (!got) return -1;  // else its holder removed the file after we opened it, and it holds nobody off
  }
}

/// Whoever begins to share a folder or stops, which takes no time, keeps others from doing so meanwhile.
/// @return nothing after a while, as where such a process was stopped
std::optional<FileLock> take_turn(const fs::path& directory) {
  constexpr int kTries = 2000;
  for (int i = 0; i < kTries; ++i) {
    if (auto turn = FileLock::take(lock_file(directory, "turn"))) return turn;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return std::nullopt;
}

std::string read_all(int descriptor) {
  std::string text(4096, '\0');
  const ssize_t size = pread(descriptor, text.data(), text.size(), 0);
  text.resize(size > 0 ? static_cast<size_t>(size) : 0);
  return text;
}

bool write_all(int descriptor, const std::string& text) {
  return ftruncate(descriptor, 0) == 0 &&
         pwrite(descriptor, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
}

FileLock require(std::optional<FileLock> lock, const fs::path& directory) {
  if (lock) return std::move(*lock);
  throw Error(ExitCode::kFailure,
              {directory.string(), "a folder that no other run uses", "another bilens working in it",
               "Wait for it, stop it, or name another --out."});
}

std::optional<FileLock> take_directory(const fs::path& directory) {
  make_directories(directory);
  return FileLock::take(lock_file(directory));
}

}  // namespace

std::optional<FileLock> FileLock::take(const fs::path& file) {
  const int descriptor = open_locked(file, LOCK_EX);
  if (descriptor < 0) return std::nullopt;
  return FileLock(file, descriptor);
}

FileLock::FileLock(fs::path file, int descriptor) : file_(std::move(file)), descriptor_(descriptor) {}

FileLock::FileLock(FileLock&& other) noexcept
    : file_(std::move(other.file_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock::~FileLock() {
  if (descriptor_ < 0) return;
  // While we hold it nobody else does; but where the folder was replaced, a file of its name is another's.
  if (stands_at(descriptor_, file_)) unlink(file_.c_str());
  close(descriptor_);
}

fs::path lock_file(const fs::path& directory, const std::string& part) {
  return directory / (kLock + (part.empty() ? part : "-" + part));
}

bool is_lock_file(const std::string& name) { return name.starts_with(kLock); }

void remove_unheld_locks(const fs::path& directory) {
  std::vector<fs::path> locks;
  for (const auto& entry : fs::directory_iterator(directory))
    if (is_lock_file(entry.path().filename().string())) locks.push_back(entry.path());
  for (const auto& lock : locks) {
    try {
      FileLock::take(lock);
    } catch (const Error&) {  // a folder that may not be written: they do no harm
    }
  }
}

DirectoryLock::DirectoryLock(const fs::path& directory)
    : lock_(require(take_directory(directory), directory)) {}

DirectoryLock::DirectoryLock(FileLock lock) : lock_(std::move(lock)) {}

std::optional<DirectoryLock> DirectoryLock::take(const fs::path& directory) {
  if (auto lock = take_directory(directory)) return DirectoryLock(std::move(*lock));
  return std::nullopt;
}

std::optional<SharedDirectoryLock> SharedDirectoryLock::take(const fs::path& directory,
                                                             const std::string& job) {
  make_directories(directory);
  const auto turn = take_turn(directory);
  if (!turn) return std::nullopt;
  const auto file = lock_file(directory);
  int descriptor = open_locked(file, LOCK_EX);
  if (descriptor < 0) {
    descriptor = open_locked(file, LOCK_SH);
    if (descriptor < 0) return std::nullopt;
    if (read_all(descriptor) == job) return SharedDirectoryLock(directory, descriptor);
    // Others are there, unless they went this moment.
    if (!try_lock(descriptor, LOCK_EX, file)) {
      close(descriptor);
      throw Error(ExitCode::kUsage, {directory.string(), "the settings and the model of those at work in it",
                                     "others", "Name another --out, or wait for them."});
    }
  }
  if (!write_all(descriptor, job)) {
    const auto error = system_error(directory.string(), "write in the folder", ExitCode::kFailure);
    close(descriptor);
    throw error;
  }
  if (try_lock(descriptor, LOCK_SH, file) && stands_at(descriptor, file))
    return SharedDirectoryLock(directory, descriptor);
  close(descriptor);  // somebody who shares with nobody came in between
  return std::nullopt;
}

SharedDirectoryLock::SharedDirectoryLock(fs::path directory, int descriptor)
    : directory_(std::move(directory)), descriptor_(descriptor) {}

SharedDirectoryLock::SharedDirectoryLock(SharedDirectoryLock&& other) noexcept
    : directory_(std::move(other.directory_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

SharedDirectoryLock::~SharedDirectoryLock() {
  if (descriptor_ < 0) return;
  try {
    const auto turn = take_turn(directory_);
    const auto file = lock_file(directory_);
    const bool last = turn && flock(descriptor_, LOCK_EX | LOCK_NB) == 0;
    if (last && stands_at(descriptor_, file)) unlink(file.c_str());
    close(descriptor_);
  } catch (const Error&) {
    close(descriptor_);  // the folder is gone
  }
}

}  // namespace bilens
