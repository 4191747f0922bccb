#pragma once

#include <string>
#include <vector>

namespace bilens {

/// One command: how it is called, what it does, which flags it takes beside the common ones.
struct CommandInfo {
  std::string name;
  std::string synopsis;     // of the arguments, e.g. "CONFIG.json"
  std::string description;  // one line
  std::string example;
  std::vector<std::string> flags;  // names of the extra flags
  size_t least_arguments = 0, most_arguments = 0;
  bool has_config = false;
  std::vector<std::string> words = {};  // the values that its argument takes, where they are few
};

const std::vector<CommandInfo>& commands();

/// The text of `bilens --help`.
std::string program_help();

}  // namespace bilens
