#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bilens/core/json.h"

namespace bilens {

/// What was given on the command line, of all commands together.
struct Flags {
  std::vector<std::string> arguments;  // positional
  std::vector<std::string> settings;   // --set
  std::string config, out, data, device, minus, input, tokenizer, prompt, logit, gate, surrogate;
  std::optional<int64_t> threads, seed, vocabulary, context, max_tokens, top_k;
  std::optional<double> temperature, top_p;
  bool resume = false, overwrite = false, dry_run = false, json = false, quiet = false, verbose = false,
       help = false;
};

/// One command: how it is called, what it does, which flags it takes beside the common ones.
struct CommandInfo {
  std::string name;
  std::string synopsis;     // of the arguments, e.g. "CONFIG.json"
  std::string description;  // one line
  std::string example;
  std::vector<std::string> flags;  // names of the extra flags
  size_t least_arguments = 0, most_arguments = 0;
  bool has_config = false;
};

const std::vector<CommandInfo>& commands();

/// @throws Error(kUsage) for unknown commands and flags, and for too few or many arguments.
Flags parse_flags(const CommandInfo& command, int argc, char** argv);

std::string command_help(const CommandInfo& command);
std::string program_help();

/// The config that a command runs on: file, then --set, then the flags that stand for a key.
Json config_of(const Flags& flags, const std::string& seed_key);

}  // namespace bilens
