#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bilens::test {

/// The bytes of a zip archive of these entries, uncompressed, as PyTorch writes them.
inline std::string stored_zip(const std::vector<std::pair<std::string, std::string>>& entries) {
  const auto number = [](uint64_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i, value >>= 8) text += static_cast<char>(value);
    return text;
  };
  std::string archive, directory;
  for (const auto& [name, content] : entries) {
    const auto sum =
        crc32(0, reinterpret_cast<const Bytef*>(content.data()), static_cast<uInt>(content.size()));
    // version, flags, method, time, date, checksum, both sizes, length of the name, of extra fields
    const std::string common = number(20, 2) + number(0, 8) + number(sum, 4) + number(content.size(), 4) +
                               number(content.size(), 4) + number(name.size(), 2) + number(0, 2);
    directory += "PK\x01\x02" + number(20, 2) + common + number(0, 10) + number(archive.size(), 4) + name;
    archive += "PK\x03\x04" + common + name + content;
  }
  return archive + directory + "PK\x05\x06" + number(0, 4) + number(entries.size(), 2) +
         number(entries.size(), 2) + number(directory.size(), 4) + number(archive.size(), 4) + number(0, 2);
}

}  // namespace bilens::test
