#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "decompose_config.h"
#include "decompose_summary.h"
#include "shared_layers.h"

namespace bilens {

/// A model, what is subtracted from it, and the data that it is studied on.
struct DecomposeInput {
  StoredModel model;
  std::optional<StoredModel> minus;  // nothing: the model itself is decomposed
  std::string data;                  // SPEC; "": the config's, or what the model's run trained on
  std::vector<std::string> pieces =
      {};                       // names of the first tokens, of a tokenizer that is not ours; or none
  const Json* named = nullptr;  // settings that are refused where the run passes over them; null: none are
};

/// The config as a user wrote it, which must also fit what is subtracted. @param where names it in messages
/// @throws Error(kUsage) that names all that is wrong
DecomposeRunConfig parse_decompose_config(const Json& config, const std::string& where, bool subtracts);

/// A decomposition that is finished stands for another call only where that is of the same job.
/// @throws Error(kUsage) that names what differs
void check_same_job(const std::filesystem::path& out, const DecomposeInput& input,
                    const DecomposeRunConfig& config);

/// The layers of a model as they are decomposed, for an estimate. @throws Error(kUsage, kBadInput)
LayerSource load_checked(const StoredModel& model, const DecomposeRunConfig& config);

/// One model in memory: nothing is written, and the studies of the config are not made.
/// @throws Error(kUsage, kBadInput); Stopped
Decomposition decompose_in_memory(const DecomposeInput& input, const DecomposeRunConfig& config);

/// One model into a folder, with its studies. decomposition.json is written last, so that it stands for the
/// whole.
/// @param resume goes on with what an earlier call left there, and shares the layers with other processes
/// that do so at the same time. What each would fit to data by itself, weighted layers and calibrated
/// surrogates, is not shared
/// @return nothing where another process has finished it, or with kLeaveTo is at all that is left
/// @throws Error(kUsage) for a folder that has something else in it; or in which others do another job;
/// Error(kFailure) for one in use; as above
std::optional<DecompositionResult> decompose_into(const DecomposeInput& input,
                                                  const DecomposeRunConfig& config,
                                                  const std::filesystem::path& out, bool resume,
                                                  Others others = Others::kWaitFor);

}  // namespace bilens
