#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>

namespace bilens {

/// SHA-256 of a stream of bytes, by OpenSSL.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void update(const void* data, size_t bytes);
  /// 64 lower-case hexadecimal digits; ends the stream.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// @throws Error(kBadInput) when the file cannot be read.
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace bilens
