#include "tensors_in_memory.h"

#include <ATen/ATen.h>

#include "bilens/core/sha256.h"

namespace bilens {

namespace {

std::vector<TensorSpec> specs_of(const std::map<std::string, at::Tensor>& tensors) {
  std::vector<TensorSpec> specs;
  for (const auto& [name, tensor] : tensors)
    specs.push_back({name, tensor.scalar_type(), tensor.sizes().vec()});
  return specs;
}

}  // namespace

TensorsInMemory::TensorsInMemory(const std::string& name, const NamedTensors& tensors) : WeightFile(name) {
  for (const auto& [key, tensor] : tensors) {
    if (!values_.emplace(key, tensor.detach()).second)
      throw Error(ExitCode::kBadInput, {name + ": " + key, "each tensor once", "it is given twice", ""});
    tensors_[key] = {tensor.scalar_type(), tensor.sizes().vec(), 0, static_cast<size_t>(tensor.nbytes())};
  }
}

at::Tensor TensorsInMemory::load(const std::string& name, const TensorInfo&) const {
  return values_.at(name);
}

std::string TensorsInMemory::sha256() const {
  auto specs = specs_of(values_);
  Sha256 hash;
  const auto start = start_safetensors(specs, {{"format", "pt"}});
  hash.update(start.data(), start.size());
  for (const auto& spec : specs) {
    const auto dense = values_.at(spec.name).cpu().contiguous();
    hash.update(dense.const_data_ptr(), dense.nbytes());
  }
  return hash.hex();
}

}  // namespace bilens
