#pragma once

#include <filesystem>

#include "bilens/run/outcome.h"
#include "bilens/train/calibration.h"
#include "bilens/train/text_comparison.h"

namespace bilens {

// The account of a fine-tuning, finetune.json (docs/formats.md).

Json to_json(const Calibration& calibration);

/// A model beside its teacher on a part of the text, as the account has it; null of a part that is too short.
/// @param file where given, takes the figures of each document
Json compare_with_teacher(const TokenStream& part, Decoder& model, Decoder& teacher, int64_t context,
                          const std::filesystem::path& file);

/// What the command says of a finished run. @param folder of the model
Outcome outcome_of_account(const Json& account, const std::filesystem::path& folder);

}  // namespace bilens
