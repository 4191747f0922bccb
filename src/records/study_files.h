#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>

#include "bilens/records/record_file.h"

namespace bilens {

constexpr const char* kStudyFile = "study.json";
constexpr const char* kStudyTensors = "study.safetensors";

/// study.json where it is of a format; else null. An earlier version had one format for studies of images and
/// of tokens; the latter stood under the key "tokens". @param of_tokens which of the two that is
/// @throws Error(kBadInput) for a file of neither format
Json read_study_file(const std::filesystem::path& directory, const RecordFormat& format, bool of_tokens);

/// "layer_N.", in front of the names of a layer's tensors.
std::string layer_prefix(int64_t layer);

/// @param expected what the numbers are, in words
/// @throws Error(kBadInput) unless all are at least `least` and below `count`
void require_between(const at::Tensor& numbers, int64_t least, int64_t count, const std::string& where,
                     const std::string& expected);

}  // namespace bilens
