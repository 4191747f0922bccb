#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "bilens/nn/gate.h"
#include "bilens/run/outcome.h"

namespace bilens {

struct ConvertRunOptions {
  std::filesystem::path in, out;
  std::filesystem::path tokenizer;  // empty: the one beside the weights, if any
  std::optional<Gate> gate = {};    // where nothing beside the weights says it; nothing: as they say
  bool dry_run = false;
};

/// What `--gate` asks for: nothing of "auto". @throws Error(kUsage) for what is none of gate_names()
std::optional<Gate> parse_gate(const std::string& word);

/// Writes any checkpoint that is read as a model directory: a language model in the Hugging Face layout
/// (those of arXiv 2410.08417 as Llamas), an image classifier under the papers' names as one of ours. It
/// appears whole or not at all.
/// @throws Error(kBadInput) that names what the model directory cannot express
Outcome run_convert(const ConvertRunOptions& options);

}  // namespace bilens
