#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "mapped_file.h"

namespace bilens {

/// The files in a zip archive, which lies in memory.
class ZipArchive {
 public:
  struct Entry {
    size_t begin = 0;    // where the content lies in the archive, when stored
    size_t size = 0;     // of the content
    bool stored = true;  // as it is; else compressed
  };

  /// @throws Error(kBadInput): no zip archive; an entry that claims more than the archive can hold, is
  /// encrypted, or compressed otherwise than by deflate.
  ZipArchive(const std::filesystem::path& path, MappedFile file);

  const MappedFile& file() const { return file_; }
  const std::map<std::string, Entry>& entries() const { return entries_; }

  /// @throws Error(kBadInput) when absent.
  Entry find(const std::string& name) const;

  /// Reads (and decompresses) the whole content into `target`, which has the size of the entry.
  /// @throws Error(kBadInput) when it is damaged
  void read(const std::string& name, char* target) const;

 private:
  std::filesystem::path path_;
  MappedFile file_;
  std::map<std::string, Entry> entries_;
};

}  // namespace bilens
