#include "bilens/core/files.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>

#include "bilens/core/locks.h"
#include "bilens/core/progress.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr const char* kTemporary = ".partial-";

fs::path temporary_beside(const fs::path& path) {
  return path.parent_path() / (kTemporary + std::to_string(getpid()) + "-" + path.filename().string());
}

fs::path parent_of(const fs::path& path) {
  return path.parent_path().empty() ? fs::path(".") : path.parent_path();
}

/// Makes a rename durable: the entry lives in the directory.
void sync_directory(const fs::path& directory) {
  const int descriptor = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw system_error(directory.string(), "open the folder", ExitCode::kFailure);
  fsync(descriptor);
  close(descriptor);
}

/// Tests stretch a write with BILENS_TEST_WRITE_DELAY_MS, to be able to kill the process inside one.
void delay_for_tests() {
  static const char* delay = std::getenv("BILENS_TEST_WRITE_DELAY_MS");
  if (delay != nullptr) std::this_thread::sleep_for(std::chrono::milliseconds(std::atoi(delay)));
}

/// Renames a folder; one that stands at `to` ends up at `from`. A folder cannot be renamed over a full one:
/// the two change places in one step, or, on file systems that cannot do this, in three.
bool put_in_place(const fs::path& from, const fs::path& to) {
  if (!fs::exists(to)) return rename(from.c_str(), to.c_str()) == 0;
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) return true;
  if (errno != EINVAL && errno != ENOSYS) return false;
  const std::string aside = from.string() + "-old";
  if (rename(to.c_str(), aside.c_str()) != 0) return false;
  if (rename(from.c_str(), to.c_str()) == 0) return rename(aside.c_str(), from.c_str()) == 0;
  const int error = errno;
  rename(aside.c_str(), to.c_str());
  errno = error;
  return false;
}

}  // namespace

void make_directories(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) {
    errno = error.value();
    throw system_error(directory.string(), "create the folder", ExitCode::kFailure);
  }
}

std::string read_text(const fs::path& path, size_t max_bytes, ExitCode code) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (!fs::exists(status)) throw Error(code, {path.string(), "a file", "nothing there", "Check the path."});
  if (!fs::is_regular_file(status)) {
    throw Error(code, {path.string(), "a file", fs::is_directory(status) ? "a folder" : "something else",
                       "Check the path."});
  }
  if (const auto size = fs::file_size(path, error); size > max_bytes) {
    throw Error(code, {path.string(), "at most " + format_bytes(static_cast<double>(max_bytes)),
                       format_bytes(static_cast<double>(size)), ""});
  }
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw system_error(path.string(), "read the file", code);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)), temporary_(temporary_beside(path_)) {
  make_directories(parent_of(path_));
  descriptor_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw system_error(path_.string(), "write the file", ExitCode::kFailure);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, size_t bytes) {
  constexpr size_t kChunk = size_t{1} << 20;
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    delay_for_tests();
    const ssize_t written = ::write(descriptor_, next, std::min(bytes, kChunk));
    if (written < 0) {
      if (errno == EINTR) continue;
      throw system_error(path_.string(), "write the file", ExitCode::kFailure);
    }
    next += written;
    bytes -= static_cast<size_t>(written);
  }
}

void AtomicFile::commit() {
  const bool synced = fsync(descriptor_) == 0;
  const bool closed = close(std::exchange(descriptor_, -1)) == 0;
  if (!synced || !closed || rename(temporary_.c_str(), path_.c_str()) != 0) {
    const Error error = system_error(path_.string(), "write the file", ExitCode::kFailure);
    unlink(temporary_.c_str());
    throw error;
  }
  sync_directory(parent_of(path_));
}

void put_file_in_place(const fs::path& from, const fs::path& to) {
  if (rename(from.c_str(), to.c_str()) != 0)
    throw system_error(to.string(), "write the file", ExitCode::kFailure);
  sync_directory(parent_of(to));
}

void write_text(const fs::path& path, const std::string& text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

AtomicDirectory::AtomicDirectory(fs::path path) : path_(std::move(path)) {
  if (path_.filename().empty()) path_ = path_.parent_path();  // "out/" names the same folder as "out"
  temporary_ = temporary_beside(path_);
  fs::remove_all(temporary_);
  make_directories(temporary_);
}

AtomicDirectory::~AtomicDirectory() {
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);
}

void AtomicDirectory::commit() {
  sync_directory(temporary_);
  if (!put_in_place(temporary_, path_))
    throw system_error(path_.string(), "put the folder in its place", ExitCode::kFailure);
  sync_directory(parent_of(path_));
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);  // the old one, if any
}

void remove_leftovers(const fs::path& directory) {
  if (!fs::is_directory(directory)) return;
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().filename().string().rfind(kTemporary, 0) == 0) leftovers.push_back(entry.path());
  }
  std::error_code ignored;
  for (const auto& path : leftovers) fs::remove_all(path, ignored);
}

void sort_by_number(std::vector<fs::path>& paths) {
  std::sort(paths.begin(), paths.end(),
            [](const auto& a, const auto& b) { return strverscmp(a.c_str(), b.c_str()) < 0; });
}

bool is_own_leftover(const std::string& name) { return is_lock_file(name) || name.starts_with(kTemporary); }

bool is_empty_directory(const fs::path& directory) {
  if (!fs::exists(directory)) return true;
  if (!fs::is_directory(directory)) return false;
  return std::all_of(
      fs::directory_iterator(directory), fs::directory_iterator(),
      [](const fs::directory_entry& entry) { return is_own_leftover(entry.path().filename().string()); });
}

void require_empty_directory(const fs::path& directory, const std::string& fix) {
  if (is_empty_directory(directory)) return;
  throw Error(ExitCode::kUsage, {directory.string(), "an empty or new folder",
                                 fs::is_directory(directory) ? "files in it" : "a file", fix});
}

}  // namespace bilens
