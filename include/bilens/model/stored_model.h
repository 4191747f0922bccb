#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "bilens/core/json.h"
#include "bilens/io/weights.h"

namespace bilens {

/// A model as it is stored, on disk or in memory. Its weights and the JSON files beside them are opened when
/// somebody first asks for them, once, and then kept. A folder that another program stored in its own way
/// (family.h) has the weights and the config.json that `bilens convert` would write. Copies share them; one
/// thread at a time may use them.
class StoredModel {
 public:
  /// A model directory, or a file of weights. Nothing is opened yet, so that any path will do.
  StoredModel(std::filesystem::path path);

  /// Tensors in memory, none of which is copied.
  /// @param name what messages call the model
  /// @param config what its config.json would say; null: nothing
  StoredModel(const std::string& name, const NamedTensors& tensors, Json config);

  const std::filesystem::path& path() const { return path_; }

  bool in_memory() const { return in_memory_; }

  /// Where the weights lie.
  const std::filesystem::path& folder() const { return folder_; }

  /// Whether config.json is the model's own. Beside a single file it may be another model's.
  bool is_directory() const;

  /// With the neighbours of a shard. @throws as Weights
  const Weights& weights() const;

  /// A file beside the weights, such as "tokenizer.model"; "" where there is none.
  std::filesystem::path file(const std::string& name) const;

  /// What messages call a file beside the weights, whether it is there or not.
  std::string where(const std::string& name) const { return (folder_ / name).string(); }

  /// The content of a JSON file beside the weights; null where there is none.
  /// @throws Error(kBadInput) for one that is damaged
  const Json& json(const std::string& name) const;

  /// The content of a JSON file of the run that made the model, or of another file, likewise.
  const Json& json_at(const std::filesystem::path& file) const;

  /// The directory that a file of weights lies in, as the model. What is read of it already is not read
  /// again.
  StoredModel directory() const;

 private:
  struct Opened;

  /// Reads a folder of another program. @returns whether it is one
  bool translate() const;

  std::filesystem::path path_, folder_;
  bool in_memory_ = false;
  std::shared_ptr<Opened> opened_;
};

}  // namespace bilens
