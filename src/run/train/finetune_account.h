#pragma once

#include <filesystem>

#include "bilens/records/conversion_account.h"
#include "bilens/run/outcome.h"
#include "bilens/train/text_comparison.h"

namespace bilens {

/// A model beside its teacher on a part of the text; nothing of a part that is too short.
/// @param file where given, takes the losses of each document
std::optional<SeenBesideTeacher> compare_with_teacher(const TokenStream& part, Decoder& model,
                                                      Decoder& teacher, int64_t context,
                                                      const std::filesystem::path& file);

/// What the command says of a finished run. @param folder of the model
Outcome outcome_of_account(const ConversionAccount& account, const std::filesystem::path& folder);

}  // namespace bilens
