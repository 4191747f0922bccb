#include "bilens/cli/command_line.h"

#include <algorithm>
#include <array>
#include <functional>
#include <iostream>

#include "bilens/core/invocation.h"
#include "bilens/core/log.h"
#include "bilens/core/stop.h"
#include "bilens/core/version.h"
#include "bilens/run/failure.h"
#include "run_command.h"

namespace bilens {

namespace {

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
    document.update({{"problems", problems},
                     {"estimate", RecordValue<std::optional<Estimate>>::write(outcome.estimate)}});
  }
  return document;
}

void print_outcome(const std::string& command, const Flags& flags, const Outcome& outcome) {
  if (outcome.elsewhere) return;
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

bool can_resume(const std::string& name) {
  return std::any_of(commands().begin(), commands().end(), [&](const CommandInfo& command) {
    const auto& flags = command.flags;
    return command.name == name && std::find(flags.begin(), flags.end(), "resume") != flags.end();
  });
}

/// Every way in which a command can end, as an outcome.
Outcome guarded(const std::string& command, const std::function<Outcome()>& run) {
  Outcome outcome;
  try {
    return run();
  } catch (const Stopped&) {
    outcome.failures.push_back({"", ExitCode::kStopped,
                                std::string("stopped by a signal") +
                                    (can_resume(command) ? "; --resume goes on from what was saved" : "")});
  } catch (const std::exception& error) {
    outcome.failures.push_back(failure_of(error));
    if (const auto* known = dynamic_cast<const Error*>(&error)) outcome.problems = known->problems();
  }
  return outcome;
}

}  // namespace

Outcome run_command(const std::vector<std::string>& arguments) {
  std::vector<std::string> words = arguments;
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  const auto& command = command_named(words.empty() ? "" : words.front());
  auto flags = parse_flags(command, static_cast<int>(argv.size()), argv.data());
  if (flags.help) {
    Outcome help;
    help.text = command_help(command);
    return help;
  }
  flags.json = true;
  return run_command(command, flags);
}

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
  for (int i = 2; i < argc; ++i) {
    if (std::string(argv[i]) == "--version")
      return run_command_line(2, std::array<char*, 2>{argv[0], argv[i]}.data());
  }
  Flags flags;
  // Known before the flags are parsed, so that a usage error is a JSON document too.
  for (int i = 2; i < argc; ++i) flags.json = flags.json || std::string(argv[i]) == "--json";
  const Outcome outcome = guarded(name, [&] {
    const auto& command = command_named(name);
    flags = parse_flags(command, argc - 1, argv + 1);
    if (flags.help) {
      Outcome help;
      help.text = command_help(command);
      return help;
    }
    set_verbosity(flags.quiet ? Verbosity::kQuiet : flags.verbose ? Verbosity::kVerbose : Verbosity::kNormal);
    install_stop_handler();
    return run_command(command, flags);
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
