#pragma once

#include <string>
#include <vector>

#include "bilens/data/text_data.h"
#include "bilens/model/decoder_config.h"

namespace bilens {

/// Adds a problem where documents are packed into sequences that are turned otherwise than each would be by
/// itself: longrope's angles depend on whether a sequence is longer than the original length.
/// @param where names the text's settings in messages
void check_packing(const DecoderConfig& model, const TextDataConfig& data, const std::string& where,
                   std::vector<Problem>& problems);

}  // namespace bilens
