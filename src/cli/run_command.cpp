#include "run_command.h"

#include <functional>
#include <iostream>
#include <map>

#include "bilens/core/files.h"
#include "bilens/core/host.h"
#include "bilens/core/memory.h"
#include "bilens/core/shell.h"
#include "bilens/io/hub_cache.h"
#include "bilens/report/report.h"
#include "bilens/run/attack_run.h"
#include "bilens/run/check_run.h"
#include "bilens/run/compare_run.h"
#include "bilens/run/convert_run.h"
#include "bilens/run/decompose_run.h"
#include "bilens/run/evaluate_run.h"
#include "bilens/run/explain_prompt_run.h"
#include "bilens/run/explain_run.h"
#include "bilens/run/generate_run.h"
#include "bilens/run/inspect_run.h"
#include "bilens/run/intervene_run.h"
#include "bilens/run/printed_results.h"
#include "bilens/run/tokenizer_run.h"
#include "bilens/run/train_run.h"
#include "completion.h"
#include "config_keys.h"

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
  if (current_host() == nullptr)
    options.launch = Launch::from_environment();  // not that of a program around it
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
  SamplerConfig sampler;
  sampler.temperature = flags.temperature.value_or(sampler.temperature);
  sampler.top_k = flags.top_k.value_or(sampler.top_k);
  sampler.top_p = flags.top_p.value_or(sampler.top_p);
  sampler.seed = flags.seed.value_or(sampler.seed);
  const auto& keys = SamplerConfig::fields();
  options.sampler = keys.parse_or_throw(keys.dump(sampler), "--", ExitCode::kUsage);
  options.device = device_of(flags);
  options.threads = flags.threads.value_or(0);
  options.dry_run = flags.dry_run;
  return run_generation(options, [&](const std::string& text) {
    if (!flags.json) std::cout << text << std::flush;
  });
}

Outcome convert(const Flags& flags) {
  return run_convert({flags.arguments[0], flags.arguments[1], flags.tokenizer,
                      flags.gate.empty() ? std::nullopt : parse_gate(flags.gate), flags.dry_run});
}

Outcome compare(const Flags& flags) { return run_comparison(evaluation_options(flags)); }

Outcome check(const Flags& flags) {
  return run_check({flags.arguments.front(), flags.python, flags.reference, flags.data, flags.context,
                    flags.tokenizer, flags.out, device_of(flags), flags.threads.value_or(0), flags.dry_run});
}

Outcome attack(const Flags& flags) {
  return run_attack({flags.arguments.front(), config_of(flags, "masks.seed"), flags.config, flags.data,
                     flags.out, flags.dry_run});
}

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
                                   parse_surrogate(flags.surrogate), flags.tokenizer, flags.out,
                                   device_of(flags), flags.threads.value_or(0), flags.dry_run});
  }
  return run_explanation({flags.arguments.front(), flags.input, flags.data, flags.out, device_of(flags),
                          flags.threads.value_or(0), flags.dry_run});
}

Outcome decompose(const Flags& flags) {
  DecomposeRunOptions options;
  options.models = flags.arguments;
  options.config = config_of(flags, "");
  options.seed = flags.seed;
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
  const fs::path out =
      flags.out.empty() ? folder_for_results(directories.front()) / "report.html" : fs::path(flags.out);
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
  return run_tokenizer_training(
      {flags.data, flags.vocabulary, flags.kind == "byte-level", flags.out, flags.dry_run});
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
      {"train", train},         {"finetune", finetune},     {"evaluate", evaluate}, {"decompose", decompose},
      {"report", report},       {"compare", compare},       {"explain", explain},   {"inspect", inspect},
      {"schema", schema},       {"tokenizer", tokenizer},   {"generate", generate}, {"convert", convert},
      {"intervene", intervene}, {"completion", completion}, {"check", check},       {"attack", attack}};
  return table;
}

Error unknown_command(const std::string& name, const std::vector<std::string>& names) {
  const auto near = nearest(name, names);
  return Error(ExitCode::kUsage, {"bilens", "a command (" + join(names) + ")", "\"" + name + "\"",
                                  near.empty() ? "See `bilens --help`." : "Did you mean " + near + "?"});
}

}  // namespace

const CommandInfo& command_named(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& info : commands()) {
    if (info.name == name) return info;
    names.push_back(info.name);
  }
  throw unknown_command(name, names);
}

Outcome run_command(const CommandInfo& command, const Flags& flags) {
  return handlers().at(command.name)(flags);
}

}  // namespace bilens
