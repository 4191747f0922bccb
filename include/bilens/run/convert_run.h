#pragma once

#include <filesystem>

#include "bilens/run/outcome.h"

namespace bilens {

struct ConvertRunOptions {
  std::filesystem::path in, out;
  std::filesystem::path tokenizer;  // empty: the one beside the weights, if any
  bool dry_run = false;
};

/// Writes any checkpoint that is read as a model directory in the Hugging Face layout; it appears whole or
/// not at all.
Outcome run_conversion(const ConvertRunOptions& options);

}  // namespace bilens
