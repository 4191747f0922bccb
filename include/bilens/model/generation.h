#pragma once

#include <functional>
#include <vector>

#include "bilens/model/decoder.h"
#include "bilens/model/sampler.h"

namespace bilens {

/// Tokens that follow a prompt.
struct Continuation {
  std::vector<int32_t> tokens;  // new ones, without the one that ended it
  bool ended = false;           // by the model, with one of its eos_token_id
  double seconds = 0.0;         // of the new ones
};

/// Continues a prompt by at most `max_tokens`, within the model's positions. @param prompt at least one token
/// @param show called with each new token
/// @throws Stopped; Error(kBadInput) as sample_token
Continuation continue_tokens(Decoder& model, const std::vector<int32_t>& prompt, int64_t max_tokens,
                             const SamplerConfig& sampler, const std::function<void(int32_t)>& show);

}  // namespace bilens
