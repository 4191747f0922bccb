#pragma once

#include <filesystem>
#include <vector>

#include "bilens/model/decoder_config.h"
#include "bilens/model/stored_model.h"

namespace bilens {

/// In the Hugging Face layout, what a model is asked to do when it generates.
constexpr const char* kGenerationFile = "generation_config.json";

/// The tokens that end a text: those of generation_config.json where that names any, else the config's. Ids
/// beyond the vocabulary, which never come, are left out.
/// @throws Error(kBadInput) where the file is damaged
std::vector<int64_t> read_end_tokens(const StoredModel& model, const DecoderConfig& config);

}  // namespace bilens
