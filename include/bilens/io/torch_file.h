#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bilens/core/json.h"
#include "bilens/io/weight_file.h"

namespace bilens {

class ZipArchive;
struct TorchTensor;

/// The tensors of a PyTorch checkpoint (.pt, .pth, .bin: a zip archive since PyTorch 1.6), found in nested
/// dictionaries: those of "model_state_dict", "state_dict", "model" or "module" where there is one of these,
/// else all, under the keys on the way to them joined by dots. Nothing in the file is executed: objects of
/// unknown classes are passed over, unless they stand where a tensor should; PyTorch's own tensors that are
/// not dense, complex or quantized ones are listed as unreadable. Tensors are views of the mapped
/// file, with the strides it says; copies only where the archive is compressed.
/// Source: https://github.com/pytorch/pytorch/blob/main/torch/serialization.py (zip format)
class TorchFile : public WeightFile {
 public:
  /// @throws Error(kBadInput): no zip archive, no dictionary of tensors, a tensor that reaches beyond its
  /// storage or needs an unknown global, which is named.
  explicit TorchFile(const std::filesystem::path& path);
  TorchFile(const std::filesystem::path& path, const MappedFile& file);

  /// The numbers, strings and flags under "model_args" beside the tensors, where training scripts keep the
  /// model's sizes; null where there is no such dictionary.
  const Json& model_args() const { return model_args_; }

 private:
  struct Place {
    std::string entry;
    std::vector<int64_t> strides;
  };

  void add(const std::string& name, const TorchTensor& tensor, const std::string& folder);
  at::Tensor load(const std::string& name, const TensorInfo& info) const override;
  Error missing(const std::string& name) const override;

  std::shared_ptr<const ZipArchive> archive_;
  std::map<std::string, Place> places_;
  Json model_args_;
  std::map<std::string, std::string> others_;  // what stands under the names that are no tensors
};

/// Whether a file that starts so is a zip archive, or a bare pickle (PyTorch's format before 1.6).
bool is_zip(const std::string& start);
bool is_pickle(const std::string& start);

}  // namespace bilens
