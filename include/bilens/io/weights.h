#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bilens/io/safetensors.h"

namespace bilens {

/// The tensors of a model, wherever they lie: a .safetensors file, or a directory in the Hugging Face layout
/// with model.safetensors or the shards of model.safetensors.index.json.
class Weights {
 public:
  /// @throws Error(kBadInput): nothing there, damaged, a shard missing, a tensor not where the index says.
  explicit Weights(const std::filesystem::path& path);

  /// Header entries by name; nothing of the data is read.
  const std::map<std::string, TensorInfo>& tensors() const { return tensors_; }
  bool contains(const std::string& name) const { return tensors_.count(name) != 0; }
  at::Tensor tensor(const std::string& name) const;

  const std::filesystem::path& path() const { return path_; }
  const std::vector<std::filesystem::path>& files() const { return files_; }

  /// Of one file, its SHA-256; of several, the SHA-256 of their `sha256sum` listing, sorted by name.
  std::string sha256() const;

 private:
  void add_file(const std::filesystem::path& file);

  std::filesystem::path path_;
  std::vector<std::filesystem::path> files_;
  std::map<std::string, TensorInfo> tensors_;
  std::map<std::string, std::shared_ptr<SafetensorsFile>> owner_;
};

}  // namespace bilens
