#pragma once

#include "bilens/io/safetensors.h"

namespace bilens {

/// Named tensors that somebody already holds, read as a file of them would be.
class TensorsInMemory : public WeightFile {
 public:
  /// @throws Error(kBadInput) for a name that stands twice
  TensorsInMemory(const std::string& name, const NamedTensors& tensors);

  std::string sha256() const override;

 private:
  at::Tensor load(const std::string& name, const TensorInfo& info) const override;

  std::map<std::string, at::Tensor> values_;
};

}  // namespace bilens
