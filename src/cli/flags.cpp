#include "flags.h"

#include <algorithm>

// Values and paths may hold commas.
#define CXXOPTS_VECTOR_DELIMITER '\0'
#include <cxxopts.hpp>

#include "bilens/core/version.h"
#include "bilens/run/config_file.h"
#include "bilens/tensor/device.h"
#include "unknown_flag.h"

namespace bilens {

namespace {

constexpr size_t kMany = 1'000'000;

std::string data_help(const std::string& command) {
  const std::string images = "mnist-5k, mnist:DIR, fashion-mnist:DIR or idx:IMAGES,LABELS",
                    text = "text:FILE, tokens:FILE or tokens,dtype=uint32:FILE";
  if (command == "tokenizer") return "text:FILE";
  if (command == "intervene") return text + "; default: what the model was trained on";
  const std::string of_run = "; default: a run's own";
  if (command == "compare" || command == "explain") return images + of_run;
  return "For images " + images + ", for text " + text + of_run;
}

/// The flags that only some commands take.
void add_flag(cxxopts::Options& options, const CommandInfo& command, const std::string& name) {
  auto add = options.add_options();
  using cxxopts::value;
  if (name == "out") add("out", "Where the results go", value<std::string>(), "PATH");
  if (name == "resume") add("resume", "Continue what was interrupted, or begin where nothing is");
  if (name == "overwrite")
    add("overwrite", "Replace the decomposition that is there, once the new one is whole");
  if (name == "data") add("data", data_help(command.name), value<std::string>(), "SPEC");
  if (name == "vocabulary") add("vocabulary", "Number of pieces, bytes included", value<int64_t>(), "N");
  if (name == "config") add("config", "Settings; without it the defaults", value<std::string>(), "FILE");
  if (name == "tokenizer")
    add("tokenizer", "SentencePiece model; default: the one beside the weights", value<std::string>(),
        "FILE");
  if (name == "context")
    add("context", "Tokens in a window; default: a run's own, else the model's positions, at most 2048",
        value<int64_t>(), "N");
  const bool explains = command.name == "explain";
  if (name == "prompt")
    add("prompt", explains ? "Text whose next token is explained" : "Text to continue", value<std::string>(),
        "TEXT");
  if (name == "logit")
    add("logit", "Token whose logit is explained; default: the likeliest next one", value<std::string>(),
        "TOKEN");
  if (name == "max-tokens") add("max-tokens", "New tokens at most; default 256", value<int64_t>(), "N");
  if (name == "temperature") add("temperature", "0: the likeliest token; default 1", value<double>(), "T");
  if (name == "top-k") add("top-k", "Only the K likeliest; 0: all", value<int64_t>(), "K");
  if (name == "top-p")
    add("top-p", "Only the fewest whose probability reaches P; default 1", value<double>(), "P");
  if (name == "minus" && explains)
    add("minus", "Token whose logit is subtracted; default: the mean of all", value<std::string>(), "TOKEN");
  if (name == "minus" && !explains)
    add("minus", "Decompose the difference to this model; \"previous\": to the one before each",
        value<std::string>(), "MODEL");
  if (name == "gate")
    add("gate", "none (bilinear), silu, gelu, gelu_tanh or relu, where nothing beside the weights says it",
        value<std::string>(), "NAME");
  if (name == "surrogate")
    add("surrogate", "What stands for a gated model's MLPs: none, which refuses it, or half; default none",
        value<std::string>(), "KIND");
  if (name == "input")
    add("input", "Image to explain: SPLIT:N of the data, or an IDX file:N", value<std::string>(), "IMAGE");
}

cxxopts::Options make_options(const CommandInfo& command) {
  cxxopts::Options options("bilens " + command.name, command.description);
  options.positional_help(command.synopsis).show_positional_help();
  for (const auto& name : command.flags) add_flag(options, command, name);
  using cxxopts::value;
  if (command.has_config)
    options.add_options("Common")("set", "Set one config key; repeatable", value<std::vector<std::string>>(),
                                  "a.b=VALUE");
  options.add_options("Common")("device", "auto, cpu, cuda or cuda:N", value<std::string>(), "NAME")(
      "threads", "CPU threads; 0: one a core", value<int64_t>(), "N")("seed", "Seed of all random numbers",
                                                                      value<int64_t>(), "S")(
      "dry-run", "Check everything, estimate memory, disk and time; do nothing")(
      "json", "One JSON document on stdout")("quiet", "Warnings and errors only")("verbose", "More detail")(
      "h,help", "This text")("version", "The version");
  options.add_options("Hidden")("arguments", "", value<std::vector<std::string>>());
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

}  // namespace

const std::vector<CommandInfo>& commands() {
  static const std::vector<CommandInfo> table = {
      {"train",
       "[CONFIG.json]",
       "Train an image classifier or a language model",
       "bilens train configs/mnist.json --set train.epochs=5",
       {"out", "resume"},
       0,
       1,
       true},
      {"finetune",
       "CONFIG.json",
       "Make a pretrained SwiGLU model bilinear",
       "bilens finetune configs/finetune-stories260k.json",
       {"out", "resume"},
       0,
       1,
       true},
      {"evaluate",
       "MODEL...",
       "Loss and accuracy on images, or loss and perplexity on text",
       "bilens evaluate runs/mnist/model --data mnist:data/mnist",
       {"data", "context", "tokenizer"},
       1,
       kMany},
      {"generate",
       "MODEL",
       "Continue a prompt",
       "bilens generate models/stories260k --prompt 'Once upon a time' --temperature 0",
       {"prompt", "max-tokens", "temperature", "top-k", "top-p", "tokenizer"},
       1,
       1},
      {"convert",
       "IN OUT",
       "Write a checkpoint as a model directory (a language model's loads in transformers)",
       "bilens convert stories260K.bin models/stories260k --tokenizer tok512.model",
       {"tokenizer", "gate"},
       2,
       2},
      {"decompose",
       "MODEL...",
       "Eigenvectors and other factors of every layer",
       "bilens decompose runs/mnist/model --set k=20",
       {"config", "gate", "minus", "data", "out", "resume", "overwrite"},
       1,
       kMany,
       true},
      {"intervene",
       "DECOMPOSITION",
       "What a language model loses without an eigenvector's contribution, beside controls",
       "bilens intervene runs/stories/model/decomposition --set layer=4 --set eigenvectors=[0]",
       {"config", "data"},
       1,
       1,
       true},
      {"explain",
       "MODEL",
       "Logits of an image, or behind a prompt, as a sum over eigenvectors",
       "bilens explain runs/mnist/model --input test:7 --out why\n"
       "  bilens explain models/stories260k --prompt 'Lily said that' --logit she --minus he",
       {"input", "data", "prompt", "logit", "minus", "surrogate", "tokenizer", "out"},
       1,
       1},
      {"compare",
       "MODEL MODEL...",
       "How alike image classifiers of one layer are: weights, data, outputs",
       "bilens compare runs/seed1/model runs/seed2/model",
       {"data"},
       2,
       kMany},
      {"report",
       "DIR...",
       "One HTML page about runs and decompositions",
       "bilens report runs/mnist",
       {"out"},
       1,
       kMany},
      {"inspect", "FILE|DIR", "Names, shapes, dtypes and sizes", "bilens inspect runs/mnist/model", {}, 1, 1},
      {"tokenizer",
       "train",
       "Train a SentencePiece vocabulary on a text",
       "bilens tokenizer train --data text:stories.txt --vocabulary 4096 --out runs/tokenizer",
       {"data", "vocabulary", "out"},
       1,
       1},
      {"schema", "COMMAND", "JSON Schema of a command's config", "bilens schema train", {}, 1, 1},
  };
  return table;
}

Flags parse_flags(const CommandInfo& command, int argc, char** argv) {
  auto options = make_options(command);
  Flags flags;
  try {
    const auto parsed = options.parse(argc, argv);
    const auto takes = [&](const char* name) {
      return std::find(command.flags.begin(), command.flags.end(), name) != command.flags.end();
    };
    const auto text = [&](const char* name, std::string& target) {
      const bool common = std::string(name) == "device";
      if ((common || takes(name)) && parsed.count(name) > 0) {
        target = parsed[name].as<std::string>();
      }
    };
    text("config", flags.config), text("out", flags.out), text("data", flags.data),
        text("device", flags.device);
    text("minus", flags.minus), text("input", flags.input), text("gate", flags.gate);
    text("tokenizer", flags.tokenizer), text("prompt", flags.prompt), text("logit", flags.logit);
    text("surrogate", flags.surrogate);
    if (parsed.count("arguments") > 0) flags.arguments = parsed["arguments"].as<std::vector<std::string>>();
    if (command.has_config && parsed.count("set") > 0)
      flags.settings = parsed["set"].as<std::vector<std::string>>();
    const auto natural = [&](const char* name, std::optional<int64_t>& target,
                             std::optional<int64_t> most = std::nullopt) {
      if (parsed.count(name) == 0) return;
      target = parsed[name].as<int64_t>();
      if (*target >= 0 && (!most || *target <= *most)) return;
      throw Error(ExitCode::kUsage,
                  {std::string("--") + name, most ? "0 to " + std::to_string(*most) : "0 or more",
                   std::to_string(*target), "Leave it out for the default."});
    };
    natural("threads", flags.threads, kMostThreads), natural("seed", flags.seed);
    if (takes("vocabulary")) natural("vocabulary", flags.vocabulary);
    if (takes("context")) natural("context", flags.context);
    if (takes("max-tokens")) natural("max-tokens", flags.max_tokens);
    if (takes("top-k")) natural("top-k", flags.top_k);
    const auto number = [&](const char* name, std::optional<double>& target) {
      if (takes(name) && parsed.count(name) > 0) target = parsed[name].as<double>();
    };
    number("temperature", flags.temperature), number("top-p", flags.top_p);
    flags.resume = takes("resume") && parsed.count("resume") > 0;
    flags.overwrite = takes("overwrite") && parsed.count("overwrite") > 0;
    flags.dry_run = parsed.count("dry-run") > 0;
    flags.json = parsed.count("json") > 0;
    flags.quiet = parsed.count("quiet") > 0;
    flags.verbose = parsed.count("verbose") > 0;
    flags.help = parsed.count("help") > 0;
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

std::string program_help() {
  std::string text =
      std::string("bilens ") + version() + ": bilinear MLPs from training to understanding\n\nUsage:\n";
  for (const auto& command : commands()) {
    const std::string call = "  bilens " + command.name + " " + command.synopsis;
    text += call + std::string(call.size() < 36 ? 36 - call.size() : 1, ' ') + command.description + "\n";
  }
  return text +
         "\n`bilens COMMAND --help` lists a command's flags, `bilens schema COMMAND` its config keys.\n";
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
