#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "bilens/core/json.h"
#include "commands.h"

namespace bilens {

/// What was given on the command line, of all commands together.
struct Flags {
  std::vector<std::string> arguments;  // positional
  std::vector<std::string> settings;   // --set
  std::string config, out, data, device, minus, input, tokenizer, prompt, logit, gate, kind, surrogate,
      python, reference;
  std::optional<int64_t> threads, seed, vocabulary, context, max_tokens, top_k;
  std::optional<double> temperature, top_p;
  bool resume = false, overwrite = false, dry_run = false, json = false, quiet = false, verbose = false,
       help = false;
};

/// Everything about one flag: help, parsing and completion come from it.
struct FlagInfo {
  using Target = std::variant<bool Flags::*, std::string Flags::*, std::optional<int64_t> Flags::*,
                              std::optional<double> Flags::*, std::vector<std::string> Flags::*>;
  std::string name;         // "max-tokens"
  std::string placeholder;  // of its value, "N"; empty: it takes none
  std::string meaning;
  Target target;
  std::vector<std::string> words = {};     // the values it takes, where they are few
  std::optional<int64_t> most = {};        // of a number that is 0 at least
  std::vector<std::string> commands = {};  // for which this row holds; empty: all that have the flag
};

/// The command's own flags in its order, then the common ones.
std::vector<const FlagInfo*> flags_of(const CommandInfo& command);

/// @throws Error(kUsage) for unknown flags, bad values, and too few or many arguments.
Flags parse_flags(const CommandInfo& command, int argc, char** argv);

std::string command_help(const CommandInfo& command);

/// The config that a command runs on: file, then --set, then the flags that stand for a key.
Json config_of(const Flags& flags, const std::string& seed_key);

}  // namespace bilens
