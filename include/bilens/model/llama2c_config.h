#pragma once

#include "bilens/io/llama2c.h"
#include "bilens/model/llama_config.h"

namespace bilens {

/// The config of a llama2.c model. Its generation ends at BOS, which separates its training documents, as
/// well as at EOS.
LlamaConfig config_of_llama2c(const Llama2cHeader& header);

}  // namespace bilens
