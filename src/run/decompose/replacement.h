#pragma once

#include <filesystem>

#include "bilens/core/files.h"
#include "bilens/core/locks.h"

namespace bilens {

/// A decomposition that takes the place of another one in a single step, once it is whole. Until commit() the
/// old one stays as it is, and without it nothing is left of the new one.
class Replacement {
 public:
  /// @param out a folder with files in it; locked while this object lives
  /// @throws Error(kUsage) that names what is in it beside the files of a decomposition (docs/formats.md),
  /// finished or begun
  explicit Replacement(const std::filesystem::path& out);

  /// Where the new one is to be written: a new folder beside the old one.
  const std::filesystem::path& path() const { return folder_.path(); }
  void commit() { folder_.commit(); }

 private:
  std::filesystem::path out_;
  DirectoryLock lock_;
  AtomicDirectory folder_;
};

/// Whether all that is in a folder is a decomposition of ours, finished or begun.
bool holds_decomposition(const std::filesystem::path& folder);

}  // namespace bilens
