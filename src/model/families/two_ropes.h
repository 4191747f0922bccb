#pragma once

#include <string>
#include <vector>

#include "bilens/model/decoder_config.h"

namespace bilens::family {

/// Reads the rotary embeddings of a family whose layers with windows turn by one of their own.
/// rope_parameters holds an object for each type of layer, as transformers 5 writes it; rope_scaling adds to
/// that of the layers that see everything. Layers with windows have no scaling.
/// @param local_theta the base of layers with windows, where rope_parameters does not say it
void read_two_ropes(const Json& json, const Json& local_theta, DecoderConfig& config,
                    const std::string& where, std::vector<Problem>& problems);

/// Turns layers with windows by config.local_rope, and all others by config.rope.
void turn_windows_locally(DecoderConfig& config);

}  // namespace bilens::family
