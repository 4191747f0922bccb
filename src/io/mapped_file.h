#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace bilens {

/// A regular file (or a link to one) in the address space, read only; it stays mapped as long as anyone holds
/// `data`.
struct MappedFile {
  std::shared_ptr<const char> data;  // null when the file is empty
  size_t size = 0;

  /// The first bytes, at most `count`.
  std::string start(size_t count) const { return {data.get(), count < size ? count : size}; }

  /// SHA-256 of all bytes. What was read for it leaves memory again.
  std::string sha256() const;

  /// Takes what was read out of this process; the system's cache may keep it, and who reads again gets it
  /// again.
  void let_go() const;
};

/// @throws Error(kBadInput) when there is none, or it is not a regular file.
MappedFile map_file(const std::filesystem::path& path);

}  // namespace bilens
