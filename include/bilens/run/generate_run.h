#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "bilens/model/sampler.h"
#include "bilens/run/outcome.h"
#include "bilens/tensor/device.h"

namespace bilens {

struct GenerateRunOptions {
  std::filesystem::path model;
  std::filesystem::path tokenizer;  // empty: the model's
  std::string prompt;
  int64_t max_tokens = 256;
  SamplerConfig sampler;
  DeviceChoice device;
  int64_t threads = 0;
  bool dry_run = false;
};

/// Continues a prompt until the model ends it, `max_tokens` are there, or its positions are used up.
/// @param show takes the text as it comes, the prompt first, and at the end a newline
Outcome run_generation(const GenerateRunOptions& options,
                       const std::function<void(const std::string&)>& show);

}  // namespace bilens
