#pragma once

#include <ATen/core/Tensor.h>

#include "bilens/core/fields.h"

namespace bilens {

struct SamplerConfig {
  double temperature = 1.0;
  int64_t top_k = 0;
  double top_p = 1.0;
  int64_t seed = 42;

  static const FieldTable<SamplerConfig>& fields();
};

/// The next token: at temperature 0 the likeliest (the first of equals); else drawn from
/// softmax(logits / temperature), of which the top_k likeliest are kept and then the fewest whose joint
/// probability reaches top_p. The draw is a function of the seed and the position alone.
/// @param logits floating point [vocabulary], on any device
/// @param position how many tokens stand before this one
/// @throws Error(kBadInput) when a logit is NaN or +infinite, or all are -infinite.
int64_t sample_token(const at::Tensor& logits, const SamplerConfig& config, int64_t position);

}  // namespace bilens
