#pragma once

#include <filesystem>

#include "bilens/records/record_file.h"

namespace bilens {

constexpr const char* kStudyFile = "study.json";
constexpr const char* kStudyTensors = "study.safetensors";

/// study.json where it is of a format; else null. An earlier version had one format for studies of images and
/// of tokens; the latter stood under the key "tokens". @param of_tokens which of the two that is
/// @throws Error(kBadInput) for a file of neither format
Json read_study_file(const std::filesystem::path& directory, const RecordFormat& format, bool of_tokens);

}  // namespace bilens
