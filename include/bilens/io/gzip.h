#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace bilens {

/// A stream over the content of a file, plain or gzip-compressed.
class GzipReader {
 public:
  /// @param kind what the file should be ("an IDX file"), for messages
  /// @throws Error(kBadInput) when it is missing, not a regular file or cannot be opened.
  GzipReader(std::filesystem::path path, const std::string& kind);
  ~GzipReader();
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  /// Reads up to `bytes`; fewer only at the end. @throws Error(kBadInput): truncated or damaged archive.
  int64_t read(void* target, int64_t bytes);

 private:
  [[noreturn]] void fail();

  std::filesystem::path path_;
  void* file_ = nullptr;  // zlib's gzFile
};

/// The whole content of a file, plain or gzip-compressed.
/// @throws Error(kBadInput): as GzipReader, or more than `max_bytes`.
std::string read_plain_or_gzip(const std::filesystem::path& path, const std::string& kind, int64_t max_bytes);

}  // namespace bilens
