#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bilens/core/json.h"
#include "bilens/io/llama2c.h"
#include "bilens/io/safetensors.h"
#include "bilens/io/weight_file.h"

namespace bilens {

/// The tensors of a model, wherever they lie: one file (safetensors, a PyTorch checkpoint, llama2.c), or a
/// directory in the Hugging Face layout: model.safetensors, the shards of model.safetensors.index.json,
/// pytorch_model.bin, or the shards of pytorch_model.bin.index.json, the first of these that is there.
/// "module." (DataParallel) and "_orig_mod." (torch.compile) in front of all names are left out.
class Weights {
 public:
  /// @throws Error(kBadInput): nothing there, damaged, a shard missing, a tensor not where the index says.
  explicit Weights(const std::filesystem::path& path);

  /// As above; of a file that an index beside it lists as one of several shards, with the tensors of those
  /// shards that are there, so that what belongs together is found together.
  static Weights with_neighbours(const std::filesystem::path& path);

  /// Tensors in memory, by their names: nothing is copied. @param name what messages call them
  Weights(const std::string& name, const NamedTensors& tensors);

  /// Tensors that were made of what others hold, under names of their own: nothing is copied. The files are
  /// theirs.
  Weights(const std::filesystem::path& path, const std::vector<Weights>& sources,
          const NamedTensors& tensors);

  /// What the files say of their tensors, by name; nothing of the data is read.
  const std::map<std::string, TensorInfo>& tensors() const { return tensors_; }
  bool contains(const std::string& name) const { return tensors_.count(name) != 0; }

  /// Whether a tensor is in what was named, not in a neighbour.
  bool is_named(const std::string& name) const;

  /// The shard that should hold a tensor and is not there; "" where there is none.
  std::string missing_shard_of(const std::string& name) const;

  /// Calls the tensors behind a prefix otherwise: "language_model.model." -> "model.".
  void rename(const std::vector<std::pair<std::string, std::string>>& prefixes);

  /// To be read only: a view of the mapped file wherever the format allows that.
  at::Tensor tensor(const std::string& name) const;

  /// Takes what was read of mapped files out of this process, so that a model larger than the memory can be
  /// read part by part. Tensors stay good.
  void let_go() const;

  const std::filesystem::path& path() const { return path_; }
  std::vector<std::filesystem::path> files() const;

  /// The header of a llama2.c file, which is also the model's config; nothing for other files.
  const std::optional<Llama2cHeader>& llama2c() const { return llama2c_; }

  /// Numbers, strings and flags of the dictionary "model_args" that a PyTorch checkpoint has beside its
  /// tensors; null where there is none.
  const Json& model_args() const { return model_args_; }

  /// SHA-256 of the file. For several files, that of their `sha256sum` listing, sorted by name.
  std::string sha256() const;

 private:
  struct Owner {
    std::shared_ptr<const WeightFile> file;
    std::string name;  // in the file
  };

  void add_file(const std::filesystem::path& file);
  void add(const std::shared_ptr<const WeightFile>& file);
  void add_shards(const std::filesystem::path& index_file);
  void strip(const std::string& wrapper);

  std::filesystem::path path_;
  std::vector<std::shared_ptr<const WeightFile>> files_;
  std::map<std::string, TensorInfo> tensors_;
  std::map<std::string, Owner> owner_;
  std::map<std::string, std::string> missing_;  // tensors of shards that are not there
  std::optional<Llama2cHeader> llama2c_;
  Json model_args_;
};

/// Whether a directory holds weights in one of these layouts.
bool has_weights(const std::filesystem::path& directory);

}  // namespace bilens
