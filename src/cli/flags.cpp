#include "flags.h"

#include <algorithm>
#include <stdexcept>

// Values and paths may hold commas.
#define CXXOPTS_VECTOR_DELIMITER '\0'
#include <cxxopts.hpp>

#include "bilens/data/image_dataset.h"
#include "bilens/run/config_file.h"
#include "bilens/tensor/device.h"
#include "unknown_flag.h"

namespace bilens {

namespace {

const std::string kImages = image_data_words(), kTexts = "text:FILE, tokens:FILE or tokens,dtype=uint32:FILE",
                  kOfRun = "; default: a run's own";

/// All flags. Where a flag has rows for some commands, its row for all others stands behind these.
const std::vector<FlagInfo>& own_flags() {
  using F = Flags;
  static const std::vector<FlagInfo> table = {
      {"out", "PATH", "Where the results go", &F::out},
      {"resume", "", "Continue what was interrupted, or begin where nothing is", &F::resume},
      {"overwrite", "", "Replace the decomposition that is there, once the new one is whole", &F::overwrite},
      {.name = "data",
       .placeholder = "SPEC",
       .meaning = "text:FILE",
       .target = &F::data,
       .commands = {"tokenizer"}},
      {.name = "data",
       .placeholder = "SPEC",
       .meaning = "text:FILE to tokenize; default: a short text with many kinds of characters",
       .target = &F::data,
       .commands = {"check"}},
      {.name = "data",
       .placeholder = "SPEC",
       .meaning = kTexts + "; default: what the model was trained on",
       .target = &F::data,
       .commands = {"intervene"}},
      {.name = "data",
       .placeholder = "SPEC",
       .meaning = kImages + kOfRun,
       .target = &F::data,
       .commands = {"attack", "compare", "explain"}},
      {"data", "SPEC", "For images " + kImages + ", for text " + kTexts + kOfRun, &F::data},
      {"vocabulary", "N", "Number of pieces, bytes included", &F::vocabulary},
      {"kind",
       "KIND",
       "What is trained: sentencepiece (tokenizer.model) or byte-level (tokenizer.json); default "
       "sentencepiece",
       &F::kind,
       {"sentencepiece", "byte-level"}},
      {"config", "FILE", "Settings; without it the defaults", &F::config},
      {"tokenizer", "FILE", "SentencePiece model or tokenizer.json; default: the model's own", &F::tokenizer},
      {.name = "context",
       .placeholder = "N",
       .meaning = "Tokens in a row; default: 128, or the model's positions where these are fewer",
       .target = &F::context,
       .commands = {"check"}},
      {"context", "N", "Tokens in a window; default: a run's own, else the model's positions, at most 2048",
       &F::context},
      {.name = "prompt",
       .placeholder = "TEXT",
       .meaning = "Text whose next token is explained",
       .target = &F::prompt,
       .commands = {"explain"}},
      {"prompt", "TEXT", "Text to continue", &F::prompt},
      {"logit", "TOKEN", "Token whose logit is explained; default: the likeliest next one", &F::logit},
      {"max-tokens", "N", "New tokens at most; default 256", &F::max_tokens},
      {"temperature", "T", "0: the likeliest token; default 1", &F::temperature},
      {"top-k", "K", "Only the K likeliest; 0: all", &F::top_k},
      {"top-p", "P", "Only the fewest whose probability reaches P; default 1", &F::top_p},
      {.name = "minus",
       .placeholder = "TOKEN",
       .meaning = "Token whose logit is subtracted; default: the mean of all",
       .target = &F::minus,
       .commands = {"explain"}},
      {"minus", "MODEL", "Decompose the difference to this model; \"previous\": to the one before each",
       &F::minus},
      {"gate",
       "NAME",
       "none (bilinear), silu, gelu, gelu_tanh or relu, where nothing beside the weights says it",
       &F::gate,
       {"none", "silu", "gelu", "gelu_tanh", "relu"}},
      {"surrogate",
       "KIND",
       "What stands for a gated model's MLPs: none, which refuses it, or half; default none",
       &F::surrogate,
       {"none", "half"}},
      {"python", "PROGRAM", "Python that has transformers; default: the active environment's, else python3",
       &F::python},
      {"reference", "FILE", "What scripts/make_reference.py wrote elsewhere, in the place of a Python",
       &F::reference},
      {"input", "IMAGE", "Image to explain: SPLIT:N of the data, or an IDX file:N", &F::input},
  };
  return table;
}

const std::vector<FlagInfo>& common_flags() {
  using F = Flags;
  static const std::vector<FlagInfo> table = {
      {"set", "a.b=VALUE", "Set one config key; repeatable", &F::settings},
      {"device", "NAME", "auto, cpu, cuda or cuda:N", &F::device, {"auto", "cpu", "cuda"}},
      {"threads",
       "N",
       "CPU threads; 0: one for each processor that may be used",
       &F::threads,
       {},
       kMostThreads},
      {"seed", "S", "Seed of all random numbers", &F::seed},
      {"dry-run", "", "Check everything, estimate memory, disk and time; do nothing", &F::dry_run},
      {"json", "", "One JSON document on stdout", &F::json},
      {"quiet", "", "Warnings and errors only", &F::quiet},
      {"verbose", "", "More detail", &F::verbose},
      {"help", "", "This text", &F::help},
  };
  return table;
}

bool is_common(const FlagInfo& flag) {
  return std::any_of(common_flags().begin(), common_flags().end(),
                     [&](const FlagInfo& common) { return &common == &flag; });
}

bool holds_for(const FlagInfo& flag, const CommandInfo& command) {
  return flag.commands.empty() ||
         std::find(flag.commands.begin(), flag.commands.end(), command.name) != flag.commands.end();
}

/// What cxxopts parses a flag's value as.
std::shared_ptr<cxxopts::Value> value_of(const FlagInfo& flag) {
  return std::visit(
      []<class T>(T Flags::*) -> std::shared_ptr<cxxopts::Value> {
        if constexpr (requires { typename T::value_type; } && !std::is_same_v<T, std::string> &&
                      !std::is_same_v<T, std::vector<std::string>>) {
          return cxxopts::value<typename T::value_type>();  // of an optional
        } else {
          return cxxopts::value<T>();
        }
      },
      flag.target);
}

cxxopts::Options make_options(const CommandInfo& command) {
  cxxopts::Options options("bilens " + command.name, command.description);
  options.positional_help(command.synopsis).show_positional_help();
  for (const auto* flag : flags_of(command)) {
    options.add_options(is_common(*flag) ? "Common" : "")(flag->name == "help" ? "h,help" : flag->name,
                                                          flag->meaning, value_of(*flag), flag->placeholder);
  }
  options.add_options("Common")("version", "The version");
  options.add_options("Hidden")("arguments", "", cxxopts::value<std::vector<std::string>>());
  options.parse_positional({"arguments"});
  return options;
}

Error usage_error(const CommandInfo& command, const std::string& where, const std::string& expected,
                  const std::string& found) {
  return Error(ExitCode::kUsage, {where, expected, found, "See `bilens " + command.name + " --help`."});
}

/// cxxopts names the value that is no number, between typographic marks, but not its flag.
Error not_a_number(const CommandInfo& command, const std::string& message, int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string text = argv[i];
    const auto value = text.starts_with("--") ? text.substr(text.find('=') + 1) : text;
    if (message.find("‘" + value + "’") == std::string::npos) continue;
    return usage_error(command, value == text ? argv[i - 1] : text.substr(0, text.find('=')), "a number",
                       "\"" + value + "\"");
  }
  return usage_error(command, "bilens " + command.name, "numbers", message);
}

/// @throws Error(kUsage) for a number out of its range
void check_range(const FlagInfo& flag, int64_t value) {
  if (value >= 0 && (!flag.most || value <= *flag.most)) return;
  throw Error(ExitCode::kUsage,
              {"--" + flag.name, flag.most ? "0 to " + std::to_string(*flag.most) : "0 or more",
               std::to_string(value), "Leave it out for the default."});
}

/// Puts what was parsed where the flag's row says.
void take(const FlagInfo& flag, const cxxopts::ParseResult& parsed, Flags& flags) {
  if (parsed.count(flag.name) == 0) return;
  std::visit(
      [&]<class T>(T Flags::*target) {
        if constexpr (std::is_same_v<T, bool>) {
          flags.*target = parsed[flag.name].as<bool>();
        } else if constexpr (std::is_same_v<T, std::optional<int64_t>>) {
          flags.*target = parsed[flag.name].as<int64_t>();
          check_range(flag, *(flags.*target));
        } else if constexpr (std::is_same_v<T, std::optional<double>>) {
          flags.*target = parsed[flag.name].as<double>();
        } else {
          flags.*target = parsed[flag.name].as<T>();
        }
      },
      flag.target);
}

}  // namespace

std::vector<const FlagInfo*> flags_of(const CommandInfo& command) {
  std::vector<const FlagInfo*> found;
  for (const auto& name : command.flags) {
    const auto& rows = own_flags();
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const FlagInfo& flag) {
      return flag.name == name && holds_for(flag, command);
    });
    if (row == rows.end()) throw std::logic_error("no row describes --" + name + " of " + command.name);
    found.push_back(&*row);
  }
  for (const auto& flag : common_flags())
    if (flag.name != "set" || command.has_config) found.push_back(&flag);
  return found;
}

Flags parse_flags(const CommandInfo& command, int argc, char** argv) {
  auto options = make_options(command);
  Flags flags;
  try {
    const auto parsed = options.parse(argc, argv);
    for (const auto* flag : flags_of(command)) take(*flag, parsed, flags);
    if (parsed.count("arguments") > 0) flags.arguments = parsed["arguments"].as<std::vector<std::string>>();
  } catch (const cxxopts::exceptions::incorrect_argument_type& error) {
    throw not_a_number(command, error.what(), argc, argv);
  } catch (const cxxopts::exceptions::no_such_option& error) {
    throw unknown_flag(command, {argv + 1, argv + argc}, error.what());
  } catch (const cxxopts::exceptions::invalid_option_syntax& error) {
    throw unknown_flag(command, {argv + 1, argv + argc}, error.what());
  } catch (const cxxopts::exceptions::exception& error) {
    throw usage_error(command, "bilens " + command.name, "", error.what());
  }
  if (flags.help) return flags;
  const size_t count = flags.arguments.size();
  if (count < command.least_arguments || count > command.most_arguments)
    throw usage_error(command, "bilens " + command.name, command.synopsis,
                      count == 0 ? "nothing" : join(flags.arguments, " "));
  return flags;
}

std::string command_help(const CommandInfo& command) {
  return make_options(command).help({"", "Common"}) + "\nExample:\n  " + command.example + "\n";
}

Json config_of(const Flags& flags, const std::string& seed_key) {
  auto settings = flags.settings;
  if (!flags.device.empty()) settings.push_back(setting("device", flags.device));
  if (!flags.gate.empty()) settings.push_back(setting("gate", flags.gate));
  if (flags.threads) settings.push_back(setting("threads", *flags.threads));
  if (flags.seed && !seed_key.empty()) settings.push_back(setting(seed_key, *flags.seed));
  return load_config(flags.config, settings);
}

}  // namespace bilens
