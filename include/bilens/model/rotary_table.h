#pragma once

#include "bilens/model/decoder_config.h"
#include "bilens/nn/attention.h"

namespace bilens {

/// Angular frequencies ω_i, float32 [head_dim / 2], for sequences of `length` tokens (which matters to
/// dynamic scaling only).
at::Tensor rotary_frequencies(const DecoderConfig& config, int64_t length);

/// cos(p ω_i) and sin(p ω_i) for p < length, computed in float32 as transformers does.
RotaryTable make_rotary_table(const DecoderConfig& config, int64_t length, at::Device device);

}  // namespace bilens
