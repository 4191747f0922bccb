#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bilens/core/error.h"

namespace bilens {

struct TensorInfo {
  at::ScalarType dtype;
  std::vector<int64_t> shape;
  size_t begin, end;  // bytes in the file's data
  /// The file's own name of a dtype that we cannot read ("F8_E8M0", "torch.ComplexFloatStorage"); `dtype` is
  /// then Undefined. Such a tensor is listed, and refused only where it is needed.
  std::string unreadable = {};

  int64_t elements() const;
  /// For messages: "float32", "F8_E8M0".
  std::string stored_as() const;
};

/// The error for a name that is not among the tensors of a file or a directory, with the nearest one.
Error no_such_tensor(const std::filesystem::path& path, const std::string& name,
                     const std::map<std::string, TensorInfo>& tensors);

struct MappedFile;

/// One file of named tensors, whatever its format, opened once and without reading the data.
class WeightFile {
 public:
  virtual ~WeightFile() = default;

  const std::filesystem::path& path() const { return path_; }
  const std::map<std::string, TensorInfo>& tensors() const { return tensors_; }

  /// To be read only: a view of the mapped file, which it keeps alive, wherever the format allows that.
  /// @throws Error(kBadInput) when absent, with the nearest name, and where it cannot be read.
  at::Tensor tensor(const std::string& name) const;

  /// SHA-256 of the file's bytes. For tensors in memory, of the safetensors file that they would make.
  virtual std::string sha256() const;

  /// Takes what was read of a mapped file out of this process. Its tensors stay good: what is read of them is
  /// mapped again.
  void let_go() const;

 protected:
  WeightFile(std::filesystem::path path, const MappedFile& file);
  explicit WeightFile(std::filesystem::path path) : path_(std::move(path)) {}
  virtual at::Tensor load(const std::string& name, const TensorInfo& info) const = 0;

  /// @throws Error(kBadInput) where there are tensors, and none that can be read
  void require_readable() const;

  /// The error for a name that is not among the tensors.
  virtual Error missing(const std::string& name) const;

  std::filesystem::path path_;
  std::shared_ptr<const MappedFile> file_;  // none: the tensors are in memory
  std::map<std::string, TensorInfo> tensors_;
};

/// Opens a file by its content: safetensors, a PyTorch checkpoint (zip), llama2.c; the extension decides only
/// what damaged contents are taken for.
/// @throws Error(kBadInput): nothing there, none of these, damaged.
std::shared_ptr<const WeightFile> open_weight_file(const std::filesystem::path& path);

}  // namespace bilens
