#pragma once

#include <filesystem>

#include "bilens/run/outcome.h"

namespace bilens {

struct ConvertRunOptions {
  std::filesystem::path in, out;
  std::filesystem::path tokenizer;  // empty: the one beside the weights, if any
  std::string gate = "auto";        // a word of gate_words(), where nothing beside the weights says it
  bool dry_run = false;
};

/// Writes any checkpoint that is read as a model directory: a language model in the Hugging Face layout
/// (those of arXiv 2410.08417 as Llamas), an image classifier under the papers' names as one of ours. It
/// appears whole or not at all.
/// @throws Error(kBadInput) that names what the model directory cannot express
Outcome run_conversion(const ConvertRunOptions& options);

}  // namespace bilens
