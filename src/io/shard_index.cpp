#include "shard_index.h"

#include "bilens/core/json.h"

namespace bilens {

std::map<std::string, std::string> read_shard_index(const std::filesystem::path& index_file) {
  const Json index = read_json(index_file, ExitCode::kBadInput);
  if (!index.is_object() || !index.contains("weight_map") || !index.at("weight_map").is_object()) {
    throw Error(ExitCode::kBadInput,
                {index_file.string(), "an object with a weight_map", describe(index),
                 "An index lists which shard holds which tensor; name the model directory itself."});
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

}  // namespace bilens
