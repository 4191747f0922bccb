#include "bilens/cli/command_line.h"

#include <algorithm>
#include <array>
#include <functional>
#include <iostream>
#include <map>

#include "bilens/core/files.h"
#include "bilens/core/invocation.h"
#include "bilens/core/log.h"
#include "bilens/core/memory.h"
#include "bilens/core/shell.h"
#include "bilens/core/stop.h"
#include "bilens/core/version.h"
#include "bilens/report/report.h"
#include "bilens/run/compare_run.h"
#include "bilens/run/convert_run.h"
#include "bilens/run/decompose_run.h"
#include "bilens/run/evaluate_run.h"
#include "bilens/run/explain_prompt_run.h"
#include "bilens/run/explain_run.h"
#include "bilens/run/failure.h"
#include "bilens/run/generate_run.h"
#include "bilens/run/inspect_run.h"
#include "bilens/run/intervene_run.h"
#include "bilens/run/printed_results.h"
#include "bilens/run/tokenizer_run.h"
#include "bilens/run/train_run.h"
#include "completion.h"
#include "config_keys.h"
#include "flags.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

/// What `--device` says, of commands without a config.
DeviceChoice device_of(const Flags& flags) {
  return flags.device.empty() ? DeviceChoice() : parse_device(flags.device);
}

/// Without a config and without settings nothing says what a run is to be.
/// @param example a call that says it
Error nothing_to_train(const Flags& flags, const std::string& command, const std::string& example) {
  const std::string call = "bilens " + command;
  const fs::path begun = flags.out.empty() ? fs::path() : fs::path(flags.out) / "config.json";
  const bool resumes = flags.resume && fs::is_regular_file(begun);
  return Error(ExitCode::kUsage,
               {call, "a config, or settings by --set", "neither",
                (resumes ? "Go on with that run: `" + call + " " + shell_word(begun.string()) + " --out " +
                               shell_word(flags.out) + " --resume`."
                         : "For example `" + example + "`.") +
                    " `bilens schema " + command + "` lists the keys."});
}

/// What `train` and `finetune` are called with.
TrainRunOptions training_options(Flags flags, const std::string& command, const std::string& example) {
  if (!flags.arguments.empty()) flags.config = flags.arguments.front();
  if (flags.config.empty() && flags.settings.empty()) throw nothing_to_train(flags, command, example);
  TrainRunOptions options;
  options.config = config_of(flags, "train.seed");
  options.where = flags.config;
  const std::string stem = flags.config.empty() ? command : fs::path(flags.config).stem().string();
  options.out = flags.out.empty() ? fs::path("runs") / stem : fs::path(flags.out);
  options.resume = flags.resume;
  options.dry_run = flags.dry_run;
  return options;
}

Outcome train(const Flags& flags) {
  return run_training(training_options(flags, "train", "bilens train configs/demo.json"));
}

Outcome finetune(const Flags& flags) {
  return run_finetuning(
      training_options(flags, "finetune", "bilens finetune configs/finetune-stories260k.json"));
}

EvaluateRunOptions evaluation_options(const Flags& flags) {
  return {
      flags.arguments,           flags.data,   flags.tokenizer, flags.context.value_or(0), device_of(flags),
      flags.threads.value_or(0), flags.dry_run};
}

Outcome evaluate(const Flags& flags) { return run_evaluation(evaluation_options(flags)); }

Outcome generate(const Flags& flags) {
  GenerateRunOptions options;
  options.model = flags.arguments.front();
  options.tokenizer = flags.tokenizer;
  options.prompt = flags.prompt;
  options.max_tokens = flags.max_tokens.value_or(options.max_tokens);
  Json sampler = Json::object();
  if (flags.temperature) sampler["temperature"] = *flags.temperature;
  if (flags.top_k) sampler["top_k"] = *flags.top_k;
  if (flags.top_p) sampler["top_p"] = *flags.top_p;
  if (flags.seed) sampler["seed"] = *flags.seed;
  options.sampler = SamplerConfig::fields().parse_or_throw(sampler, "--", ExitCode::kUsage);
  options.device = device_of(flags);
  options.threads = flags.threads.value_or(0);
  options.dry_run = flags.dry_run;
  return run_generation(options, [&](const std::string& text) {
    if (!flags.json) std::cout << text << std::flush;
  });
}

Outcome convert(const Flags& flags) {
  return run_conversion({flags.arguments[0], flags.arguments[1], flags.tokenizer,
                         flags.gate.empty() ? "auto" : flags.gate, flags.dry_run});
}

Outcome compare(const Flags& flags) { return run_comparison(evaluation_options(flags)); }

Outcome explain(const Flags& flags) {
  const bool of_prompt =
      !flags.logit.empty() || !flags.minus.empty() || !flags.surrogate.empty() || !flags.tokenizer.empty();
  if ((!flags.input.empty() && !flags.prompt.empty()) || (flags.prompt.empty() && of_prompt)) {
    throw Error(ExitCode::kUsage,
                {"bilens explain",
                 "--input IMAGE, or --prompt TEXT with --logit, --minus, --surrogate and --tokenizer",
                 flags.prompt.empty() ? "no --prompt" : "both", ""});
  }
  if (flags.input.empty() && !flags.prompt.empty()) {
    return run_prompt_explanation({flags.arguments.front(), flags.prompt, flags.logit, flags.minus,
                                   flags.surrogate, flags.tokenizer, flags.out, device_of(flags),
                                   flags.threads.value_or(0), flags.dry_run});
  }
  return run_explanation({flags.arguments.front(), flags.input, flags.data, flags.out, device_of(flags),
                          flags.threads.value_or(0), flags.dry_run});
}

Outcome decompose(const Flags& flags) {
  DecomposeRunOptions options;
  options.models = flags.arguments;
  options.config = config_of(flags, "");
  // Analyses and methods have seeds of their own.
  const Json directions = options.config.value("directions", Json());
  if (flags.seed && directions.is_object() && directions.value("kind", Json()) == "random") {
    options.config["directions"]["seed"] = *flags.seed;
  }
  options.where = flags.config;
  options.minus = flags.minus;
  options.data = flags.data;
  options.out = flags.out;
  options.resume = flags.resume;
  options.overwrite = flags.overwrite;
  options.dry_run = flags.dry_run;
  return run_decomposition(options);
}

Outcome intervene(const Flags& flags) {
  return run_intervention({flags.arguments.front(), config_of(flags, "intervention.seed"), flags.config,
                           flags.data, flags.dry_run});
}

Outcome report(const Flags& flags) {
  const std::vector<fs::path> directories(flags.arguments.begin(), flags.arguments.end());
  const fs::path out = flags.out.empty() ? directories.front() / "report.html" : fs::path(flags.out);
  const auto made = make_report(directories);
  Outcome outcome;
  if (flags.dry_run) {
    auto& estimate = outcome.estimate.emplace();
    estimate.memory_bytes = peak_memory();
    estimate.disk_bytes = static_cast<int64_t>(made.page.size());
    return outcome;
  }
  write_text(out, made.page);
  outcome.results.push_back({{"out", out.string()}, {"bytes", made.page.size()}, {"models", made.models}});
  outcome.text = out.string() + "\n";
  return outcome;
}

Outcome tokenizer(const Flags& flags) {
  if (flags.arguments.front() != "train") {
    throw Error(ExitCode::kUsage, {"bilens tokenizer", "train", "\"" + flags.arguments.front() + "\"",
                                   "See `bilens tokenizer --help`."});
  }
  return run_tokenizer_training({flags.data, flags.vocabulary, flags.out, flags.dry_run});
}

Outcome inspect(const Flags& flags) { return run_inspection(flags.arguments.front()); }

/// What is written, by the tables that it is written by.
Json written_files() {
  auto files = record_files();
  const auto printed = printed_results();
  files.insert(files.end(), printed.begin(), printed.end());
  return describe_files(files);
}

Json schema_of(const std::string& command) {
  Json document = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                   {"title", "bilens " + command}};
  document.update(config_schema(command));
  return document;
}

Outcome schema(const Flags& flags) {
  const std::string& of = flags.arguments.front();
  const Json document = of == "files" ? written_files() : schema_of(of);
  Outcome outcome;
  outcome.results.push_back(document);
  outcome.text = format_json(document);
  return outcome;
}

Outcome completion(const Flags& flags) {
  Outcome outcome;
  outcome.text = completion_script(flags.arguments.front());
  outcome.results.push_back({{"shell", flags.arguments.front()}, {"script", outcome.text}});
  return outcome;
}

const std::map<std::string, std::function<Outcome(const Flags&)>>& handlers() {
  static const std::map<std::string, std::function<Outcome(const Flags&)>> table = {
      {"train", train},         {"finetune", finetune},    {"evaluate", evaluate}, {"decompose", decompose},
      {"report", report},       {"compare", compare},      {"explain", explain},   {"inspect", inspect},
      {"schema", schema},       {"tokenizer", tokenizer},  {"generate", generate}, {"convert", convert},
      {"intervene", intervene}, {"completion", completion}};
  return table;
}

Json to_json(const std::string& command, const Outcome& outcome, bool dry_run) {
  Json failures = Json::array(), problems = Json::array();
  for (const auto& failure : outcome.failures) {
    failures.push_back({{"model", failure.model.empty() ? Json(nullptr) : Json(failure.model)},
                        {"code", static_cast<int>(failure.code)},
                        {"message", failure.message}});
  }
  for (const auto& problem : outcome.problems) {
    problems.push_back({{"where", problem.where},
                        {"expected", problem.expected},
                        {"found", problem.found},
                        {"fix", problem.fix}});
  }
  Json document = {
      {"command", command}, {"version", version()}, {"results", outcome.results}, {"failures", failures}};
  if (dry_run) {
    document["problems"] = problems;
    document["estimate"] = RecordValue<std::optional<Estimate>>::write(outcome.estimate);
  }
  return document;
}

void print_outcome(const std::string& command, const Flags& flags, const Outcome& outcome) {
  if (flags.json) {
    std::cout << format_json(to_json(command, outcome, flags.dry_run));
    return;
  }
  std::cout << outcome.text;
  for (const auto& failure : outcome.failures) {
    // Those of a batch were said as they happened.
    if (failure.model.empty() || outcome.failures.size() + outcome.results.size() == 1)
      log_error(failure.message);
  }
  if (flags.dry_run && outcome.estimate)
    std::cout << format_json(Estimate::record().write(*outcome.estimate));
}

/// Every way in which a command can end, as an outcome.
Outcome guarded(const std::function<Outcome()>& run) {
  Outcome outcome;
  try {
    return run();
  } catch (const Stopped&) {
    outcome.failures.push_back(
        {"", ExitCode::kStopped, "stopped by a signal; --resume goes on from what was saved"});
  } catch (const std::exception& error) {
    outcome.failures.push_back(failure_of(error));
    if (const auto* known = dynamic_cast<const Error*>(&error)) outcome.problems = known->problems();
  }
  return outcome;
}

Error unknown_command(const std::string& name, const std::vector<std::string>& names) {
  const auto near = nearest(name, names);
  return Error(ExitCode::kUsage, {"bilens", "a command (" + join(names) + ")", "\"" + name + "\"",
                                  near.empty() ? "See `bilens --help`." : "Did you mean " + near + "?"});
}

}  // namespace

int run_command_line(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "--help";
  if (name == "help" && argc > 2) {
    std::string help = "--help";
    return run_command_line(3, std::array<char*, 3>{argv[0], argv[2], help.data()}.data());
  }
  if (name == "--help" || name == "-h" || name == "help") {
    std::cout << program_help();
    return static_cast<int>(argc > 1 ? ExitCode::kOk : ExitCode::kUsage);
  }
  if (name == "--version") {
    std::cout << "bilens " << version() << "\n";
    return 0;
  }
  set_invocation({argv, argv + argc});
  std::vector<std::string> names;
  const CommandInfo* command = nullptr;
  for (const auto& info : commands()) {
    names.push_back(info.name);
    if (info.name == name) command = &info;
  }
  for (int i = 2; i < argc; ++i) {
    if (std::string(argv[i]) == "--version")
      return run_command_line(2, std::array<char*, 2>{argv[0], argv[i]}.data());
  }
  Flags flags;
  // Known before the flags are parsed, so that a usage error is a JSON document too.
  for (int i = 2; i < argc; ++i) flags.json = flags.json || std::string(argv[i]) == "--json";
  const Outcome outcome = guarded([&] {
    if (command == nullptr) throw unknown_command(name, names);
    flags = parse_flags(*command, argc - 1, argv + 1);
    if (flags.help) {
      Outcome help;
      help.text = command_help(*command);
      return help;
    }
    set_verbosity(flags.quiet ? Verbosity::kQuiet : flags.verbose ? Verbosity::kVerbose : Verbosity::kNormal);
    install_stop_handler();
    return handlers().at(name)(flags);
  });
  if (flags.help) {
    std::cout << outcome.text;
    return 0;
  }
  print_outcome(name, flags, outcome);
  std::cout.flush();
  return static_cast<int>(outcome.code());
}

}  // namespace bilens
