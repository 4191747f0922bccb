#pragma once

#include "bilens/model/decoder_config.h"
#include "bilens/nn/attention.h"

namespace bilens {

/// Angular frequencies ω_i, float32 [rotary_dim / 2], of config.rope or config.local_rope, for sequences of
/// `length` tokens (which matters to dynamic scaling and longrope only).
at::Tensor rotary_frequencies(const DecoderConfig& config, const RopeConfig& rope, int64_t length);

/// cos(p ω_i) and sin(p ω_i) for p < `positions`, as many as the sequence has tokens or more, computed in
/// float32 as transformers does; times the attention factor of longrope.
RotaryTable make_rotary_table(const DecoderConfig& config, const RopeConfig& rope, int64_t length,
                              int64_t positions, at::Device device);

}  // namespace bilens
