#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "bilens/data/token_file.h"
#include "temporary_folder.h"

namespace bilens::test {

/// Numbers as they lie in a file, `width` bytes each.
inline std::string little_endian(const std::vector<int64_t>& numbers, int width) {
  std::string bytes;
  for (const int64_t number : numbers) {
    for (int i = 0; i < width; ++i) bytes += static_cast<char>(number >> 8 * i & 255);
  }
  return bytes;
}

/// The tokens of a file with these bytes, t.bin, whose documents begin with 1.
inline TokenStream load_tokens(const std::string& bytes, int64_t vocabulary, TextDataConfig config = {}) {
  const TemporaryFolder folder;
  write_file(folder / "t.bin", bytes);
  config.path = (folder / "t.bin").string();
  auto stream = load_token_file(config, vocabulary, {1});
  stream.ids = stream.ids.to(at::kInt);  // the file goes
  return stream;
}

}  // namespace bilens::test
