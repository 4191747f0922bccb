#pragma once

#include "bilens/model/decoder.h"

namespace bilens {

/// Whether a Llama computes the same: norms, windows, angles, scales and caps are as there.
bool is_a_llama(const DecoderConfig& config);

/// A Llama of the same function as the model, which may have biases in its MLPs. Biases of the attention that
/// only a Llama has are 0; all other weights are shared. @throws std::invalid_argument where !is_a_llama
Decoder as_llama(const Decoder& model);

}  // namespace bilens
