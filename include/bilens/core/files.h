#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "bilens/core/error.h"

namespace bilens {

/// Reads a regular file whole. @throws Error(code) when it is missing, not a regular file or above
/// `max_bytes`.
std::string read_text(const std::filesystem::path& path, size_t max_bytes, ExitCode code);

/// A file that appears whole or not at all: written beside its place, synced and renamed by commit().
/// Without commit() nothing stays behind.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends. @throws Error: disk full is kExhausted, else kFailure.
  void write(const void* data, size_t bytes);
  void write(const std::string& text) { write(text.data(), text.size()); }
  /// Syncs the file and puts it in its place. @throws Error as write()
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;
};

/// Renames a finished, synced file to its place, durably.
void put_file_in_place(const std::filesystem::path& from, const std::filesystem::path& to);

/// Writes a file of this text, whole or not at all. @throws Error as AtomicFile::write()
void write_text(const std::filesystem::path& path, const std::string& text);

/// A directory that appears whole or not at all: fill path(), then commit() puts it in its place.
class AtomicDirectory {
 public:
  explicit AtomicDirectory(std::filesystem::path path);
  ~AtomicDirectory();
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;

  const std::filesystem::path& path() const { return temporary_; }
  /// Moves the directory to its place in one step; one that stood there is replaced.
  void commit();

 private:
  std::filesystem::path path_, temporary_;
};

/// With its parents, where they are missing. @throws Error(kFailure)
void make_directories(const std::filesystem::path& directory);

/// Removes what interrupted writes left in a directory. Only under its lock: another process may be writing.
void remove_leftovers(const std::filesystem::path& directory);

/// Whether a file of this name is our own lock or the leftover of an interrupted write.
bool is_own_leftover(const std::string& name);

/// Whether nothing but our own lock and leftovers of interrupted writes is in the directory (or it is
/// missing).
bool is_empty_directory(const std::filesystem::path& directory);

/// @throws Error(kUsage) where something is in the way; `fix` says what to do then.
void require_empty_directory(const std::filesystem::path& directory, const std::string& fix);

/// By name, numbers in it by their value: "step-800" before "step-1200".
void sort_by_number(std::vector<std::filesystem::path>& paths);

}  // namespace bilens
