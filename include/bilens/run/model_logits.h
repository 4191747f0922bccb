#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "bilens/model/stored_model.h"

namespace bilens {

/// Logits of the token that follows a prompt, as this library computes a language model, in the dtype that
/// its weights are held in: float32 [vocab_size].
/// @param ids at least one token @throws Error(kBadInput) for no language model, and for ids beyond the
/// vocabulary
at::Tensor model_logits(const StoredModel& model, const std::vector<int64_t>& ids);

}  // namespace bilens
