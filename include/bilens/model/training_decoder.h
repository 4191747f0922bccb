#pragma once

#include <string>
#include <vector>

#include "bilens/model/decoder_config.h"

namespace bilens {

/// The "model" of a training config: a Llama by DecoderConfig::training_fields(), or with "type" another
/// model_type by the keys of its config.json, whose defaults are those of a Llama for the sizes and else the
/// family's.
DecoderConfig read_training_decoder(const Json& value, const std::string& where,
                                    std::vector<Problem>& problems);
Json write_training_decoder(const DecoderConfig& config);
Json training_decoder_schema();

}  // namespace bilens
