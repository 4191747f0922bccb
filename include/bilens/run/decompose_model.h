#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bilens/model/stored_model.h"
#include "bilens/records/decomposition.h"

namespace bilens {

/// One model, on disk or in memory, and how it is to be decomposed.
struct DecomposeModelOptions {
  StoredModel model;
  std::optional<StoredModel> minus;  // whose layers are subtracted
  Json config;                       // of `bilens decompose`, as the user wrote it
  std::string where;                 // of the config, in messages
  at::Tensor directions;             // rows [n, d_out] in the place of the config's; undefined: those
  std::string data;                  // SPEC, as of the command line; "": none
  std::filesystem::path out;         // folder; empty: nothing is written, and there are no studies
  bool resume = false, overwrite = false;
  std::vector<std::string> pieces =
      {};  // names of the first tokens, of a tokenizer that is not ours; or none
};

/// What `bilens decompose` finds of a model. Its tensors are in memory, or mapped from the files in `out`.
/// @throws Error(kUsage, kBadInput); Stopped
Decomposition decompose_model(const DecomposeModelOptions& options);

/// Writes a decomposition that was found in memory as `bilens decompose` would, whole or not at all.
/// @param overwrite replaces a decomposition that is there @throws Error(kUsage) for a folder with anything
/// else
void save_decomposition(const std::filesystem::path& out, const Decomposition& decomposition, bool overwrite);

}  // namespace bilens
