#include "bilens/io/weights.h"

#include <algorithm>
#include <set>

#include "bilens/core/files.h"
#include "bilens/core/sha256.h"
#include "bilens/io/foreign_folder.h"
#include "bilens/io/torch_file.h"
#include "shard_index.h"
#include "tensors_in_memory.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

/// A directory's weights: a file or the index of its shards; the first that is there counts.
const char* const kFiles[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                              "pytorch_model.bin.index.json"};

fs::path find_weights(const fs::path& directory) {
  for (const char* name : kFiles) {
    if (fs::exists(directory / name)) return directory / name;
  }
  return {};
}

/// The shards of the index beside a file that names it; empty where there is none. Others may be damaged.
std::map<std::string, std::string> shards_around(const fs::path& file) {
  const auto folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  for (const char* name : kFiles) {
    const fs::path index = folder / name;
    if (index.extension() != ".json" || !fs::is_regular_file(index)) continue;
    const std::string quoted = "\"" + file.filename().string() + "\"";
    if (read_text(index, size_t{1} << 28, ExitCode::kBadInput).find(quoted) == std::string::npos) continue;
    return read_shard_index(index);
  }
  return {};
}

}  // namespace

bool has_weights(const fs::path& directory) { return !find_weights(directory).empty(); }

Weights::Weights(const fs::path& path) : path_(path) {
  if (!fs::exists(path))
    throw Error(ExitCode::kBadInput, {path.string(), "a model", "nothing there", "Check the path."});
  const fs::path file = fs::is_directory(path) ? find_weights(path) : path;
  if (file.empty()) {
    if (const auto foreign = describe_foreign_folder(path)) throw Error(ExitCode::kBadInput, *foreign);
    throw Error(ExitCode::kBadInput,
                {path.string(), "model.safetensors, pytorch_model.bin or the .index.json of one of them",
                 "none", "Name a model directory or a weight file."});
  }
  file.extension() == ".json" ? add_shards(file) : add_file(file);
  for (const char* wrapper : {"module.", "_orig_mod.", "module."}) strip(wrapper);
}

Weights::Weights(const std::string& name, const NamedTensors& tensors) : path_(name) {
  add(std::make_shared<TensorsInMemory>(name, tensors));
}

Weights::Weights(const fs::path& path, const std::vector<Weights>& sources, const NamedTensors& tensors)
    : path_(path) {
  add(std::make_shared<TensorsInMemory>(path.string(), tensors));
  files_.clear();
  for (const auto& source : sources) files_.insert(files_.end(), source.files_.begin(), source.files_.end());
}

std::vector<fs::path> Weights::files() const {
  std::vector<fs::path> paths;
  for (const auto& file : files_) paths.push_back(file->path());
  return paths;
}

Weights Weights::with_neighbours(const fs::path& path) {
  Weights weights(path);
  if (fs::is_directory(path)) return weights;
  std::set<std::string> there = {path.filename().string()};
  for (const auto& [tensor, shard] : shards_around(path)) {
    const fs::path file = path.parent_path() / shard;
    if (!fs::is_regular_file(file)) {
      weights.missing_[tensor] = shard;
    } else if (there.insert(shard).second) {
      weights.add_file(file);
    }
  }
  return weights;
}

bool Weights::is_named(const std::string& name) const {
  const auto owner = owner_.find(name);
  return owner != owner_.end() && (fs::is_directory(path_) || owner->second.file == files_.front());
}

std::string Weights::missing_shard_of(const std::string& name) const {
  const auto found = missing_.find(name);
  return found == missing_.end() ? "" : found->second;
}

void Weights::add_shards(const fs::path& index_file) {
  const auto shards = read_shard_index(index_file);
  std::set<std::string> names;
  for (const auto& item : shards) names.insert(item.second);
  for (const auto& name : names) add_file(index_file.parent_path() / name);
  for (const auto& [tensor, shard] : shards) {
    const auto owner = owner_.find(tensor);
    const std::string found =
        owner == owner_.end() ? "in no shard" : "in " + owner->second.file->path().filename().string();
    if (found != "in " + shard) {
      throw Error(ExitCode::kBadInput,
                  {path_.string() + ": " + tensor, "in " + shard + " as the index says", found, ""});
    }
  }
  for (const auto& item : tensors_) {
    if (shards.count(item.first) == 0) {
      throw Error(ExitCode::kBadInput,
                  {path_.string() + ": " + item.first, "listed in the index", "only in a shard", ""});
    }
  }
}

void Weights::add_file(const fs::path& file) {
  const auto opened = open_weight_file(file);
  if (const auto* llama2c = dynamic_cast<const Llama2cFile*>(opened.get())) llama2c_ = llama2c->header();
  if (const auto* torch = dynamic_cast<const TorchFile*>(opened.get())) model_args_ = torch->model_args();
  add(opened);
}

void Weights::add(const std::shared_ptr<const WeightFile>& file) {
  files_.push_back(file);
  for (const auto& [name, info] : file->tensors()) {
    if (!tensors_.emplace(name, info).second) {
      throw Error(ExitCode::kBadInput,
                  {file->path().string() + ": " + name, "each tensor once", "it is in two shards", ""});
    }
    owner_[name] = {file, name};
  }
}

void Weights::strip(const std::string& wrapper) {
  const bool wrapped =
      !tensors_.empty() && std::all_of(tensors_.begin(), tensors_.end(),
                                       [&](const auto& item) { return item.first.rfind(wrapper, 0) == 0; });
  if (!wrapped) return;
  const auto stripped = [&](auto& by_name) {
    std::decay_t<decltype(by_name)> result;
    for (auto& [name, value] : by_name) result.emplace(name.substr(wrapper.size()), std::move(value));
    by_name = std::move(result);
  };
  stripped(tensors_);
  stripped(owner_);
}

void Weights::rename(const std::vector<std::pair<std::string, std::string>>& prefixes) {
  const auto renamed = [&](auto& by_name) {
    std::decay_t<decltype(by_name)> result;
    for (auto& [name, value] : by_name) {
      auto new_name = name;
      for (const auto& [prefix, instead] : prefixes)
        if (name.starts_with(prefix)) new_name = instead + name.substr(prefix.size());
      if (!result.emplace(new_name, std::move(value)).second) {
        throw Error(ExitCode::kBadInput, {path_.string(), "one tensor that is " + new_name, "several",
                                          "Remove those that do not belong to the model."});
      }
    }
    by_name = std::move(result);
  };
  renamed(tensors_);
  renamed(owner_);
  renamed(missing_);
}

at::Tensor Weights::tensor(const std::string& name) const {
  const auto owner = owner_.find(name);
  if (owner != owner_.end()) return owner->second.file->tensor(owner->second.name);
  if (files_.size() == 1 && !owner_.empty()) {  // its file may know more than the names
    const auto& [first, any] = *owner_.begin();
    return any.file->tensor(any.name.substr(0, any.name.size() - first.size()) + name);
  }
  throw no_such_tensor(path_, name, tensors_);
}

void Weights::let_go() const {
  for (const auto& file : files_) file->let_go();
}

std::string Weights::sha256() const {
  if (files_.size() == 1) return files_.front()->sha256();
  auto sorted = files_;
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a->path() < b->path(); });
  Sha256 all;
  for (const auto& file : sorted) {
    const std::string line = file->sha256() + "  " + file->path().filename().string() + "\n";
    all.update(line.data(), line.size());
  }
  return all.hex();
}

}  // namespace bilens
