#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "bilens/io/safetensors.h"

namespace bilens {

/// A safetensors file that is filled a block of rows at a time, over several runs if need be, so that results
/// larger than memory reach the disk as they are found. Until commit() it stands beside its place as
/// NAME.part, at its full size: a disk too small shows at once.
class SafetensorsRows {
 public:
  /// Starts a new one, all zeros. @throws Error(kExhausted) when the disk is too small
  SafetensorsRows(std::filesystem::path path, std::vector<TensorSpec> specs, const Json& metadata);

  /// Goes on with the one there. @throws Error(kBadInput) when it is missing or damaged
  explicit SafetensorsRows(std::filesystem::path path);

  ~SafetensorsRows();
  SafetensorsRows(const SafetensorsRows&) = delete;
  SafetensorsRows& operator=(const SafetensorsRows&) = delete;

  /// Rows first … of a tensor's first dimension, of the spec's dtype and inner shape.
  void write(const std::string& name, int64_t first, const at::Tensor& rows);

  /// Makes what was written durable.
  void sync();

  /// Puts the file in its place.
  void commit();

  static std::filesystem::path part_of(const std::filesystem::path& path);

 private:
  std::filesystem::path path_, part_;
  std::map<std::string, TensorInfo> tensors_;
  size_t data_ = 0;  // where the data start
  int descriptor_ = -1;
};

}  // namespace bilens
