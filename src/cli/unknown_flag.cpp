#include "unknown_flag.h"

#include "bilens/core/shell.h"
#include "config_keys.h"
#include "flags.h"

namespace bilens {

namespace {

/// A flag as it was typed: "--epochs=3", or "--epochs" with "3" behind it.
struct Typed {
  std::string flag, name, value;  // "--epochs", "epochs", "3"
};

/// The word that the parser's message has between its marks, whole or without dashes and value.
Typed find_flag(const std::vector<std::string>& words, const std::string& message) {
  const auto named = [&](const std::string& text) {
    return message.find("‘" + text + "’") != std::string::npos;
  };
  for (size_t i = 0; i < words.size(); ++i) {
    const auto& word = words[i];
    if (word.size() < 2 || word.front() != '-') continue;
    const auto equals = std::min(word.find('='), word.size());
    const auto dashes = word.find_first_not_of('-');
    if (dashes == std::string::npos || dashes >= equals) continue;
    Typed typed{word.substr(0, equals), word.substr(dashes, equals - dashes), ""};
    const bool short_flag = dashes == 1 && named(typed.name.substr(0, 1));  // "-k20" is k with a value
    if (!named(word) && !named(typed.name) && !short_flag) continue;
    if (equals < word.size()) {
      typed.value = word.substr(equals + 1);
    } else if (i + 1 < words.size() && !words[i + 1].starts_with("--")) {
      typed.value = words[i + 1];
    }
    return typed;
  }
  return {};
}

std::string setting_of(const std::string& path, const std::string& value) {
  return "--set " + shell_word(path + "=" + (value.empty() ? "VALUE" : value));
}

}  // namespace

Error unknown_flag(const CommandInfo& command, const std::vector<std::string>& words,
                   const std::string& message) {
  const auto typed = find_flag(words, message);
  const std::string call = "bilens " + command.name;
  std::string fix = "See `" + call + " --help`.";
  if (typed.flag.empty()) return Error(ExitCode::kUsage, {call, "", message, fix});
  std::vector<std::string> flags;
  for (const auto* flag : flags_of(command)) flags.push_back(flag->name);
  const Json schema = command.has_config ? config_schema(command.name) : Json();
  const auto keys = schema.is_null() ? std::vector<std::string>() : keys_named(schema, typed.name);
  if (!keys.empty()) {
    std::vector<std::string> ways;
    for (const auto& key : keys) ways.push_back("`" + setting_of(key, typed.value) + "`");
    fix = "A key of the config is set by " + join(ways, " or ") + ".";
  } else if (const auto near = nearest(typed.name, flags); !near.empty()) {
    fix = "Did you mean --" + near + "?";
  } else if (const auto key = schema.is_null() ? "" : nearest(typed.name, key_names(schema)); !key.empty()) {
    fix = "Did you mean `" + setting_of(keys_named(schema, key).front(), typed.value) + "`?";
  }
  return Error(ExitCode::kUsage, {typed.flag, "a flag of `" + call + "`", "none of this name", fix});
}

}  // namespace bilens
