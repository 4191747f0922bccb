#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bilens {

/// CRC-32C (Castagnoli; RFC 3720, appendix B.4), the checksum of TensorFlow's records.
uint32_t crc32c(std::string_view bytes);

/// An event file that TensorBoard reads: TFRecords of serialized `tensorflow.Event` messages, scalars only.
class TensorBoardWriter {
 public:
  /// Opens a new file in the directory. What older files of the run say from `first_step` on, TensorBoard
  /// then leaves out: those steps are made again.
  TensorBoardWriter(const std::filesystem::path& directory, int64_t first_step);

  void write(int64_t step, const std::vector<std::pair<std::string, double>>& scalars);

 private:
  void append(const std::string& event);

  std::filesystem::path path_;
  std::ofstream stream_;
};

}  // namespace bilens
