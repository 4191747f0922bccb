#pragma once

#include <string>
#include <vector>

#include "bilens/model/decoder.h"
#include "bilens/records/model_check.h"
#include "bilens/records/model_reference.h"

namespace bilens {

/// A model's states, logits and losses beside those of transformers.
///
/// In float32 a difference is measured against the largest number of its kind; it may be 1e-5 of that, and
/// 2e-6 more for each layer, whose rounding adds up. In bfloat16 and float16 both sides round coarsely, and
/// their difference says little: the error of each is measured against transformers in float32, and the one
/// here may be twice that of transformers, and one rounding to the dtype.
/// @param model in the dtype that is compared, on any device
/// @param half whether the reference's own dtype, bfloat16 or float16, is compared; else float32
CheckedDtype check_parity(Decoder& model, const ModelReference& reference, bool half);

/// What is not within its tolerance: the first quantity in the order of the computation, in words; "" where
/// all are.
std::string first_failure(const CheckedDtype& checked);

/// Ids of the reference's text, with what transformers puts around them, beside those of transformers.
/// @param ids what stands for the text here
CheckedTokenizer check_tokenizer(const std::vector<int32_t>& ids, const ModelReference& reference);

}  // namespace bilens
