#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace bilens {

/// A lock that keeps a piece of work to one process. It is one of the kernel's on a file of ours (flock), so
/// it goes with the process, however that ends. Its file goes with it, so that a folder is left as it was.
class FileLock {
 public:
  /// Nothing where another holder has it, in this process or in another one.
  /// @throws Error(kFailure) where the file cannot be made, and on a file system without locks
  static std::optional<FileLock> take(const std::filesystem::path& file);

  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  FileLock(std::filesystem::path file, int descriptor);

  std::filesystem::path file_;
  int descriptor_;
};

/// The file of a folder's lock, or of that of a part of the work in it.
std::filesystem::path lock_file(const std::filesystem::path& directory, const std::string& part = "");

/// Whether a file of this name is a lock of ours.
bool is_lock_file(const std::string& name);

/// Removes the locks in a directory that nobody holds, as killed processes leave them.
void remove_unheld_locks(const std::filesystem::path& directory);

/// Keeps a directory to one process: a second one gets an error instead of a mixture of two runs.
class DirectoryLock {
 public:
  /// Creates the directory where it is missing. @throws Error(kFailure) when it is in use or cannot be
  /// written.
  explicit DirectoryLock(const std::filesystem::path& directory);

  /// Takes a directory as the constructor does; nothing when it is in use. @throws Error(kFailure) otherwise
  static std::optional<DirectoryLock> take(const std::filesystem::path& directory);

 private:
  explicit DirectoryLock(FileLock lock);

  FileLock lock_;
};

/// Keeps a directory to the processes that do the same job in it.
class SharedDirectoryLock {
 public:
  /// Creates the directory where it is missing. Nothing where somebody has a DirectoryLock of it.
  /// @param job names what is done, by a line of text
  /// @throws Error(kUsage) where others do another job in it; Error(kFailure) when it cannot be written
  static std::optional<SharedDirectoryLock> take(const std::filesystem::path& directory,
                                                 const std::string& job);

  SharedDirectoryLock(SharedDirectoryLock&& other) noexcept;
  SharedDirectoryLock& operator=(SharedDirectoryLock&&) = delete;
  ~SharedDirectoryLock();

 private:
  SharedDirectoryLock(std::filesystem::path directory, int descriptor);

  std::filesystem::path directory_;
  int descriptor_;
};

}  // namespace bilens
