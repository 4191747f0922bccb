#pragma once

#include "bilens/run/outcome.h"
#include "decompose_config.h"

namespace bilens {

/// Adds what one more model needs to a dry run's estimate: memory and disk of the largest, time of all; and
/// how each layer would be solved to its text. The weights are loaded already and in the process's peak.
void add_estimate(const LayerSource& source, const DecomposeRunConfig& config, const std::string& data_spec,
                  Outcome& outcome);

}  // namespace bilens
