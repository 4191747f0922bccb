#include "bilens/io/weights.h"

#include <algorithm>
#include <fstream>
#include <set>

#include "bilens/core/sha256.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

/// The shard that each tensor should be in. Names are file names only: an index must not reach outside its
/// folder.
std::map<std::string, std::string> read_index(const fs::path& index_file) {
  const Json index = read_json(index_file, ExitCode::kBadInput);
  if (!index.is_object() || !index.contains("weight_map") || !index.at("weight_map").is_object()) {
    throw Error(ExitCode::kBadInput,
                {index_file.string(), "an object with a weight_map", describe(index), ""});
  }
  std::map<std::string, std::string> shards;
  for (const auto& [tensor, file] : index.at("weight_map").items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    if (name.empty() || name == "." || name == ".." || name.find_first_of("/\\") != std::string::npos) {
      throw Error(ExitCode::kBadInput,
                  {index_file.string() + ": weight_map." + tensor, "a plain file name in this folder",
                   describe(file), "An index must not point outside its folder."});
    }
    shards[tensor] = name;
  }
  return shards;
}

}  // namespace

Weights::Weights(const fs::path& path) : path_(path) {
  if (!fs::exists(path))
    throw Error(ExitCode::kBadInput, {path.string(), "a model", "nothing there", "Check the path."});
  if (!fs::is_directory(path)) {
    add_file(path);
    return;
  }
  const fs::path single = path / "model.safetensors";
  const fs::path index_file = path / "model.safetensors.index.json";
  if (fs::exists(single)) {
    add_file(single);
  } else if (fs::exists(index_file)) {
    const auto shards = read_index(index_file);
    std::set<std::string> names;
    for (const auto& item : shards) names.insert(item.second);
    for (const auto& name : names) add_file(path / name);
    for (const auto& [tensor, shard] : shards) {
      const auto owner = owner_.find(tensor);
      const std::string found =
          owner == owner_.end() ? "in no shard" : "in " + owner->second->path().filename().string();
      if (found != "in " + shard) {
        throw Error(ExitCode::kBadInput,
                    {path.string() + ": " + tensor, "in " + shard + " as the index says", found, ""});
      }
    }
    for (const auto& item : tensors_) {
      if (shards.count(item.first) == 0) {
        throw Error(ExitCode::kBadInput,
                    {path.string() + ": " + item.first, "listed in the index", "only in a shard", ""});
      }
    }
  } else {
    throw Error(ExitCode::kBadInput, {path.string(), "model.safetensors or model.safetensors.index.json",
                                      "neither", "Name a model directory or a .safetensors file."});
  }
}

void Weights::add_file(const fs::path& file) {
  const auto opened = std::make_shared<SafetensorsFile>(file);
  files_.push_back(file);
  for (const auto& [name, info] : opened->tensors()) {
    if (!tensors_.emplace(name, info).second) {
      throw Error(ExitCode::kBadInput,
                  {file.string() + ": " + name, "each tensor once", "it is in two shards", ""});
    }
    owner_[name] = opened;
  }
}

at::Tensor Weights::tensor(const std::string& name) const {
  const auto owner = owner_.find(name);
  if (owner != owner_.end()) return owner->second->tensor(name);
  std::vector<std::string> names;
  for (const auto& item : tensors_) names.push_back(item.first);
  const auto near = nearest(name, names);
  throw Error(ExitCode::kBadInput,
              {path_.string(), "a tensor named " + name, "none",
               near.empty() ? "`bilens inspect` lists the names." : "Did you mean " + near + "?"});
}

std::string Weights::sha256() const {
  if (files_.size() == 1) return sha256_of_file(files_.front());
  auto sorted = files_;
  std::sort(sorted.begin(), sorted.end());
  Sha256 all;
  for (const auto& file : sorted) {
    const std::string line = sha256_of_file(file) + "  " + file.filename().string() + "\n";
    all.update(line.data(), line.size());
  }
  return all.hex();
}

}  // namespace bilens
