#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bilens/core/json.h"
#include "bilens/io/weight_file.h"

namespace bilens {

/// A safetensors file, mapped, not read: a tensor costs nothing until it is used. Every claim of the header
/// is checked against the file when it is opened. Format: https://github.com/huggingface/safetensors (8-byte
/// little-endian header size, JSON header, data).
class SafetensorsFile : public WeightFile {
 public:
  /// @throws Error(kBadInput) that names the byte offset or the tensor.
  explicit SafetensorsFile(const std::filesystem::path& path);
  SafetensorsFile(const std::filesystem::path& path, const MappedFile& file);

  const Json& metadata() const { return metadata_; }

 private:
  at::Tensor load(const std::string& name, const TensorInfo& info) const override;

  std::shared_ptr<const char> data_;
  Json metadata_ = Json::object();
};

/// What a header says of a tensor that is to be written.
struct TensorSpec {
  std::string name;
  at::ScalarType dtype;
  std::vector<int64_t> shape;

  size_t bytes() const;
};

/// The start of a file: size and header, padded to a multiple of 8 bytes. Sorts the specs as the reference
/// writer does (wide dtypes first, then by name); their data follow in that order, without gaps.
std::string start_safetensors(std::vector<TensorSpec>& specs, const Json& metadata);

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// Writes the tensors whole or not at all, ordered as the reference writer does (wide dtypes first, then by
/// name), so that equal contents are equal files. `metadata`: an object of strings. `dtype`, where given, is
/// what all are stored in; a tensor is converted when its turn comes, so that no second set of them stands.
/// @throws Error(kBadInput) that names the tensor with a finite number that the dtype does not hold
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const Json& metadata = Json::object(), std::optional<at::ScalarType> dtype = {});

}  // namespace bilens
