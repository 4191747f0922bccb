#include "completion.h"

#include <algorithm>
#include <functional>
#include <map>

#include "bilens/core/error.h"
#include "config_keys.h"
#include "flags.h"

namespace bilens {

namespace {

bool takes_path(const FlagInfo& flag) {
  const std::vector<std::string> paths = {"PATH", "FILE", "MODEL", "SPEC", "IMAGE"};
  return std::find(paths.begin(), paths.end(), flag.placeholder) != paths.end();
}

/// The values that a flag can have, for --set each key with its "=".
std::vector<std::string> values_of(const FlagInfo& flag, const CommandInfo& command) {
  if (flag.name != "set") return flag.words;
  auto keys = key_paths(config_schema(command.name));
  for (auto& key : keys) key += "=";
  return keys;
}

/// As one word between single quotes, with a backslash before each of `special`.
std::string quoted(const std::string& text, const std::string& special, const std::string& quote) {
  std::string word = "'";
  for (const char c : text) {
    if (special.find(c) != std::string::npos) word += '\\';
    word += c == '\'' ? quote : std::string(1, c);
  }
  return word + "'";
}

// --- bash ---

std::string bash_of(const CommandInfo& command) {
  std::string text = "    " + command.name + ")\n      case $before in\n";
  std::vector<std::string> names, files, words;  // flags; those that take a path, or something else
  for (const auto* flag : flags_of(command)) {
    names.push_back("--" + flag->name);
    const auto values = values_of(*flag, command);
    if (!values.empty()) {
      text += "        --" + flag->name + ") words='" + join(values, " ") + "'" +
              (flag->name == "set" ? "; compopt -o nospace" : "") + " ;;\n";
    } else if (!flag->placeholder.empty()) {
      (takes_path(*flag) ? files : words).push_back("--" + flag->name);
    }
  }
  if (!files.empty()) text += "        " + join(files, " | ") + ") ;;\n";
  if (!words.empty()) text += "        " + join(words, " | ") + ") compopt +o default ;;\n";
  return text + "        *) if [[ $word == -* ]]; then words='" + join(names, " ") + "'; else words='" +
         join(command.words, " ") + "'; fi ;;\n      esac\n      ;;\n";
}

std::string bash_script() {
  std::string names, cases;
  for (const auto& command : commands()) {
    names += command.name + " ";
    cases += bash_of(command);
  }
  return "# Completion of bilens for bash. In ~/.bashrc: source <(bilens completion bash)\n"
         "_bilens() {\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} "
         "command=${COMP_WORDS[1]} words=''\n"
         "  # bash parts words at \"=\".\n"
         "  if [[ $before == = ]]; then before=${COMP_WORDS[COMP_CWORD - 2]}; fi\n"
         "  if [[ $word == = ]]; then word=''; fi\n"
         "  if ((COMP_CWORD == 1)) || [[ $command == help ]]; then command='' words='" +
         names + "help'; fi\n  case $command in\n" + cases +
         "  esac\n"
         "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
         "}\n"
         "complete -o default -F _bilens bilens\n";
}

// --- zsh ---

std::string zsh_of(const CommandInfo& command) {
  std::string text = "    " + command.name + ")\n      _arguments -S";
  for (const auto* flag : flags_of(command)) {
    std::string row = (flag->name == "set" ? "*--" : "--") + flag->name + "[";
    for (const char c : flag->meaning)
      row += (c == '[' || c == ']' || c == ':' ? "\\" : "") + std::string(1, c);
    row += "]";
    const auto values = values_of(*flag, command);
    if (flag->name == "set") {
      row += ":key:{compadd -S \"\" -- " + join(values, " ") + "}";
    } else if (!values.empty()) {
      row += ":" + flag->placeholder + ":(" + join(values, " ") + ")";
    } else if (!flag->placeholder.empty()) {
      row += ":" + flag->placeholder + (takes_path(*flag) ? ":_files" : ": ");
    }
    text += " \\\n        " + quoted(row, "", "'\\''");
  }
  return text + " \\\n        '*:argument:" +
         (command.words.empty() ? "_files" : "(" + join(command.words, " ") + ")") + "'\n      ;;\n";
}

std::string zsh_script() {
  std::string names, cases;
  for (const auto& command : commands()) {
    names += "    " + quoted(command.name + ":" + command.description, "", "'\\''") + "\n";
    cases += zsh_of(command);
  }
  return "#compdef bilens\n"
         "# Completion of bilens for zsh. In ~/.zshrc, behind compinit: source <(bilens completion zsh)\n"
         "_bilens() {\n  local -a names=(\n" +
         names +
         "  )\n  if ((CURRENT == 2)); then\n    _describe command names\n    return\n  fi\n"
         "  local command=$words[2]\n  shift words\n  ((CURRENT--))\n  case $command in\n" +
         cases +
         "  esac\n}\n"
         "if [[ $funcstack[1] == _bilens ]]; then _bilens \"$@\"; else compdef _bilens bilens; fi\n";
}

// --- fish ---

std::string fish_of(const CommandInfo& command) {
  const auto described = [](const std::string& text) { return " -d " + quoted(text, "\\", "\\'"); };
  const std::string here = "complete -c bilens -n '__bilens_command " + command.name + "'";
  std::string text = "complete -c bilens -f -n __bilens_no_command -a " + command.name +
                     described(command.description) + "\n";
  if (!command.words.empty()) text += here + " -f -a '" + join(command.words, " ") + "'\n";
  for (const auto* flag : flags_of(command)) {
    text += here + " -l " + flag->name;
    const auto values = values_of(*flag, command);
    if (!values.empty()) {
      text += " -x -a '" + join(values, " ") + "'";
    } else if (!flag->placeholder.empty()) {
      text += takes_path(*flag) ? " -r" : " -x";
    }
    text += described(flag->meaning) + "\n";
  }
  return text;
}

std::string fish_script() {
  std::string text =
      "# Completion of bilens for fish: bilens completion fish > ~/.config/fish/completions/bilens.fish\n"
      "function __bilens_command\n  set -l words (commandline -opc)\n  test \"$words[2]\" = $argv[1]\nend\n"
      "function __bilens_no_command\n  test (count (commandline -opc)) = 1\nend\n";
  for (const auto& command : commands()) text += fish_of(command);
  return text;
}

}  // namespace

std::string completion_script(const std::string& shell) {
  const std::map<std::string, std::function<std::string()>> scripts = {
      {"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};
  const auto found = scripts.find(shell);
  if (found != scripts.end()) return found->second();
  throw Error(ExitCode::kUsage, {"bilens completion", "bash, zsh or fish", "\"" + shell + "\"", ""});
}

}  // namespace bilens
