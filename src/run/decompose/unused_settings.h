#pragma once

#include "decompose_data.h"

namespace bilens {

/// Which of the settings that a caller named a run of a model would pass over.
struct SettingsInUse {
  const Json& named;  // keys and values, as the caller wrote them
  const LayerSource& source;
  const DecomposeRunConfig& config;
  const DecomposeData& data;
  const std::string& data_spec;
  bool names_pieces = false;  // of a tokenizer that is not ours
};

/// Every setting counts or is refused. null, false and {} ask for nothing.
/// @throws Error(kUsage) that names all that do not count, with what they would need
void require_used(const SettingsInUse& settings);

}  // namespace bilens
