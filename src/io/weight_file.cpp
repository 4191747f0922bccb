#include "bilens/io/weight_file.h"

#include <cstring>

#include "bilens/io/llama2c.h"
#include "bilens/io/safetensors.h"
#include "bilens/io/torch_file.h"
#include "bilens/tensor/device.h"
#include "impostors.h"
#include "mapped_file.h"

namespace bilens {

namespace {

bool starts_as_safetensors(const MappedFile& file) {
  uint64_t header_bytes = 0;
  if (file.size < 10) return false;
  std::memcpy(&header_bytes, file.data.get(), 8);
  return file.data.get()[8] == '{' && header_bytes <= file.size - 8;
}

}  // namespace

WeightFile::WeightFile(std::filesystem::path path, const MappedFile& file)
    : path_(std::move(path)), file_(std::make_shared<const MappedFile>(file)) {}

std::string WeightFile::sha256() const { return file_->sha256(); }

void WeightFile::let_go() const {
  if (file_) file_->let_go();
}

int64_t TensorInfo::elements() const {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

std::string TensorInfo::stored_as() const { return unreadable.empty() ? dtype_name(dtype) : unreadable; }

at::Tensor WeightFile::tensor(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw missing(name);
  if (!found->second.unreadable.empty()) {
    throw Error(ExitCode::kBadInput,
                {path_.string() + ": " + name, "a dense tensor of whole or floating-point numbers",
                 found->second.unreadable, "Store it as one, for instance in float32."});
  }
  return load(name, found->second);
}

void WeightFile::require_readable() const {
  for (const auto& [name, info] : tensors_) {
    if (info.unreadable.empty()) return;
  }
  if (tensors_.empty()) return;
  const auto& [name, info] = *tensors_.begin();
  throw Error(ExitCode::kBadInput, {path_.string() + ": " + name, "a dense tensor of a known dtype",
                                    info.unreadable, "There is no tensor in this file that can be read."});
}

Error no_such_tensor(const std::filesystem::path& path, const std::string& name,
                     const std::map<std::string, TensorInfo>& tensors) {
  std::vector<std::string> names;
  for (const auto& item : tensors) names.push_back(item.first);
  const auto near = nearest(name, names);
  return Error(ExitCode::kBadInput,
               {path.string(), "a tensor named " + name, "none",
                near.empty() ? "`bilens inspect` lists the names." : "Did you mean " + near + "?"});
}

Error WeightFile::missing(const std::string& name) const { return no_such_tensor(path_, name, tensors_); }

std::shared_ptr<const WeightFile> open_weight_file(const std::filesystem::path& path) {
  const MappedFile file = map_file(path);
  const std::string start = file.start(16), extension = path.extension().string();
  if (starts_as_safetensors(file)) return std::make_shared<SafetensorsFile>(path, file);
  if (is_zip(start) || is_pickle(start)) return std::make_shared<TorchFile>(path, file);
  if (is_llama2c(start)) return std::make_shared<Llama2cFile>(path, file);
  refuse_impostors(path, file);
  if (extension == ".pt" || extension == ".pth") return std::make_shared<TorchFile>(path, file);
  if (extension == ".bin") return std::make_shared<Llama2cFile>(path, file);
  return std::make_shared<SafetensorsFile>(path, file);
}

}  // namespace bilens
