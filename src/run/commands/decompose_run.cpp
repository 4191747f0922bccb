#include "bilens/run/decompose_run.h"

#include <algorithm>
#include <map>
#include <set>

#include "bilens/core/files.h"
#include "bilens/core/locks.h"
#include "bilens/core/log.h"
#include "bilens/io/hub_cache.h"
#include "bilens/records/decomposition.h"
#include "bilens/records/layer_file.h"
#include "bilens/tensor/device.h"
#include "decompose/decompose_estimate.h"
#include "decompose/decompose_summary.h"
#include "decompose/model_decomposition.h"
#include "decompose/replacement.h"
#include "models/batch.h"
#include "models/model_arguments.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

fs::path default_out(const fs::path& model) {
  if (fs::is_directory(model)) return folder_for_results(model) / "decomposition";
  return folder_for_results(model.parent_path()) / (model.stem().string() + ".decomposition");
}

/// All models but the first, each with the one before it to be subtracted: checkpoints by their steps, others
/// in the order in which they are named.
std::vector<fs::path> pair_with_previous(std::vector<fs::path> models, std::map<fs::path, fs::path>& minus) {
  const bool checkpoints = std::all_of(models.begin(), models.end(), [](const fs::path& path) {
    return path.filename().string().starts_with("step-");
  });
  if (checkpoints) sort_by_number(models);
  if (std::set<fs::path>(models.begin(), models.end()).size() != models.size())
    throw Error(ExitCode::kUsage, {"--minus previous", "different models", "one of them twice", ""});
  if (models.size() < 2) {
    throw Error(ExitCode::kUsage, {"--minus previous", "at least two models, in their order",
                                   std::to_string(models.size()), "For example a run's checkpoints folder."});
  }
  for (size_t i = 1; i < models.size(); ++i) minus[models[i]] = models[i - 1];
  return {models.begin() + 1, models.end()};
}

/// The config as it was given, with a seed for random directions. Analyses and methods have seeds of their
/// own.
Json seeded_config(const DecomposeRunOptions& options) {
  Json config = options.config;
  const auto& keys = DecomposeRunConfig::fields();
  const auto directions = &DecomposeRunConfig::directions;
  if (options.seed && keys.find(config, directions) != nullptr)
    set_seed_of_directions(config[keys.name_of(directions)], *options.seed);
  return config;
}

}  // namespace

Json decompose_config_schema() { return DecomposeRunConfig::fields().schema(); }

Outcome run_decomposition(const DecomposeRunOptions& options) {
  const auto config = parse_decompose_config(seeded_config(options), options.where, !options.minus.empty());
  if (options.resume && options.overwrite) {
    throw Error(ExitCode::kUsage,
                {"bilens decompose", "--resume, which keeps what is there, or --overwrite", "both", ""});
  }
  set_threads(config.threads);
  choose_device(config.device);
  auto models = expand_models(options.models);
  const auto names = batch_names(models);
  std::map<fs::path, fs::path> outs, minus;
  for (size_t i = 0; i < models.size(); ++i) {
    outs[models[i]] = options.out.empty()  ? default_out(models[i])
                      : models.size() == 1 ? fs::path(options.out)
                                           : fs::path(options.out) / names[i];
  }
  if (options.minus == "previous") {
    models = pair_with_previous(models, minus);
  } else if (!options.minus.empty()) {
    const auto other = find_model(options.minus);
    for (const auto& model : models) minus[model] = other;
  }
  Outcome outcome;
  const auto add = [&](DecompositionResult result, const fs::path& path) {
    result.out = outs[path].string();  // of what is replaced, where it will be
    outcome.results.push_back(DecompositionResult::record().write(result));
    outcome.text += decomposition_in_words(result);
  };
  const auto input_of = [&](const fs::path& path) {
    DecomposeInput input{path, {}, options.data};
    if (!minus[path].empty()) input.minus.emplace(minus[path]);
    return input;
  };
  /// false where other processes are at all that is left of it
  const auto resume = [&](const fs::path& path, Others others) {
    const auto& out = outs[path];
    if (!fs::exists(out / kDecompositionFile)) {
      if (auto result = decompose_into(input_of(path), config, out, true, others)) {
        add(std::move(*result), path);
        return true;
      }
      if (!fs::exists(out / kDecompositionFile)) return false;
    }
    check_same_job(out, input_of(path), config);
    remove_progress(out);  // where a kill came before that
    remove_unheld_locks(out);
    log_info(out.string() + " is finished");
    outcome.results.push_back({{"model", path.string()}, {"out", out.string()}, {"skipped", true}});
    return true;
  };
  for_each_model(models, outcome, [&](const fs::path& path, Turn turn) {
    if (options.dry_run) {
      add_estimate(load_checked(path, config), config, options.data, outcome);
    } else if (options.resume) {
      return resume(path, turn == Turn::kLast ? Others::kWaitFor : Others::kLeaveTo);
    } else if (options.overwrite && !is_empty_directory(outs[path])) {
      Replacement replacement(outs[path]);
      add(*decompose_into(input_of(path), config, replacement.path(), false), path);
      replacement.commit();
    } else {
      add(*decompose_into(input_of(path), config, outs[path], false), path);
    }
    return true;
  });
  for (const auto& failure : outcome.failures) {
    if (options.dry_run)
      outcome.problems.push_back({failure.model, "a model that can be decomposed", failure.message, ""});
  }
  return outcome;
}

}  // namespace bilens
