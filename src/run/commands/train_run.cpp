#include "bilens/run/train_run.h"

#include <ATen/Parallel.h>
#include <sched.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <functional>

#include "bilens/core/files.h"
#include "bilens/core/locks.h"
#include "bilens/core/log.h"
#include "bilens/core/memory.h"
#include "bilens/core/progress.h"
#include "bilens/core/text.h"
#include "bilens/core/version.h"
#include "bilens/dist/ranks.h"
#include "bilens/model/family.h"
#include "bilens/model/image_classifier.h"
#include "bilens/records/training_result.h"
#include "bilens/run/config_file.h"
#include "bilens/tensor/device.h"
#include "bilens/tensor/device_memory.h"
#include "bilens/train/data_files.h"
#include "train/job_kind.h"
#include "train/training_job.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

using MakeJob = std::function<std::unique_ptr<TrainingJob>(const TrainRunOptions&)>;

/// What is said of a config that is another command's. @param key the one that shows it
Error config_of_other(const std::string& where, const std::string& command, const std::string& key,
                      const std::string& other) {
  return Error(ExitCode::kUsage,
               {where, "a config of `bilens " + command + "`",
                "\"" + key + "\", a key of `bilens " + other + "`", "Run `bilens " + other + "` with it."});
}

/// A job of the kind that "model.type" names; a config without it is an image classifier's.
std::unique_ptr<TrainingJob> make_training(const TrainRunOptions& options) {
  const auto kind = kind_of_config(options.config);
  if (kind.has_teacher && !kind.has_model)
    throw config_of_other(options.where, "train", "teacher", "finetune");
  const Json& type = kind.model_type;
  std::vector<Problem> problems;
  const auto where = key_path(key_path(options.where, "model"), "type");
  const auto classifier = ClassifierConfig{}.type;
  auto types = decoder_types();
  types.insert(types.begin(), classifier);
  if (!check_value(type, choice_schema("", types), where, problems)) throw Error(ExitCode::kUsage, problems);
  if (type != classifier) return make_text_job(options.config, options.where);
  return make_image_job(options.config, options.where);
}

/// A resumed run must be the same run.
std::vector<DataFile> check_same_run(const TrainRunOptions& options, const TrainingJob& job) {
  auto data = describe_data_files(job.data_files());
  const fs::path file = options.out / "config.json";
  if (!options.resume) return data;
  const bool known = require_same_data_as_checkpoint(options.out / "checkpoints", data);
  if (!fs::exists(file)) return data;
  const Json before = job.kept_settings(read_json(file, ExitCode::kBadInput), file.string(), known);
  require_same_settings(before, file, job.kept_settings(known));
  return data;
}

/// A folder that has a run is resumed, one that has something else is nobody's to write into.
void check_out(const fs::path& out, bool resume) {
  if (resume && (fs::exists(out / "config.json") || fs::exists(out / kCalibratedFolder))) return;
  require_empty_directory(out, resume
                                   ? "No run was begun there: name its folder with --out."
                                   : "Continue that run with --resume, or name another folder with --out.");
}

void check_resources(const Estimate& estimate, at::Device device, const fs::path& out) {
  std::vector<Problem> problems;
  const auto need = [&](const char* what, int64_t needed, int64_t free, const char* fix) {
    if (needed > free) {
      problems.push_back({what, format_bytes(static_cast<double>(needed)),
                          format_bytes(static_cast<double>(free)) + " free", fix});
    }
  };
  need("memory", estimate.memory_bytes - peak_memory(), available_memory(),
       "Use a smaller batch_size or model.");
  if (!device.is_cpu()) {
    need("memory of the GPU", *estimate.device_memory_bytes - device_memory(device).now, free_memory(device),
         "Use a smaller micro_batch, batch_size or model.");
  }
  need("disk", estimate.disk_bytes, free_disk(out), "Free some space, or name another --out.");
  if (!problems.empty()) throw Error(ExitCode::kExhausted, problems);
}

/// @throws Error(kUsage) for several processes on a GPU
void require_shared_device(at::Device device, const Launch& launch) {
  if (launch.alone() || device.is_cpu()) return;
  throw Error(ExitCode::kUsage,
              {"device", "\"cpu\" for several processes", device.str(),
               "Train on one GPU with one process; several cannot share a model's training yet."});
}

Outcome dry_run(const TrainRunOptions& options, const MakeJob& make_job) {
  Outcome outcome;
  std::unique_ptr<TrainingJob> job;
  const auto holds = [&](const std::function<void()>& check) {
    const size_t before = outcome.problems.size();
    collect_problems(outcome, check);
    return outcome.problems.size() == before;
  };
  holds([&] { check_out(options.out, options.resume); });
  if (!holds([&] { job = make_job(options); })) return outcome;  // the rest would be checked against defaults
  holds([&] { require_shared_device(choose_device(job->settings().device), options.launch); });
  if (!holds([&] { job->prepare(); })) return outcome;
  holds([&] { check_same_run(options, *job); });
  if (!outcome.problems.empty()) return outcome;
  const auto device = choose_device(job->settings().device);
  set_threads(job->settings().threads);
  auto& estimate = outcome.estimate.emplace(job->estimate(device));
  estimate.seconds.reset();
  if (holds([&] { check_resources(estimate, device, options.out); })) estimate.seconds = job->seconds(device);
  return outcome;
}

/// How the run went, which is told too.
RunFigures figures_of(const TrainSummary& summary, TrainedOn unit, at::Device device) {
  RunFigures figures;
  figures.steps = summary.steps;
  figures.skipped_steps = summary.skipped_steps;
  figures.loss_spikes = summary.loss_spikes;
  rate_in(figures, unit) = summary.units_per_second;
  figures.peak_memory_bytes = peak_memory();
  auto memory = format_bytes(static_cast<double>(figures.peak_memory_bytes));
  if (!device.is_cpu()) {
    figures.peak_device_memory_bytes = device_memory(device).peak;
    memory += ", on the GPU " + format_bytes(static_cast<double>(*figures.peak_device_memory_bytes));
  }
  if (summary.steps > 0)
    log_info(format_number(summary.units_per_second) + " " + unit_name(unit) + "/s, peak memory " + memory);
  if (summary.skipped_steps > 0)
    log_warning(std::to_string(summary.skipped_steps) +
                " steps were skipped, their gradients were not finite");
  return figures;
}

/// What a process says whose first one has the results.
Outcome elsewhere() {
  Outcome outcome;
  outcome.elsewhere = true;
  return outcome;
}

/// Threads for each of the processes of one machine, unless the config or the environment says how many.
void share_threads(const TrainingJob& job, const Launch& launch) {
  set_threads(job.settings().threads);
  if (job.settings().threads > 0 || launch.local_ranks == 1 || std::getenv("OMP_NUM_THREADS") != nullptr)
    return;
  cpu_set_t own;
  CPU_ZERO(&own);
  const bool known = sched_getaffinity(0, sizeof(own), &own) == 0;
  if (known && CPU_COUNT(&own) < sysconf(_SC_NPROCESSORS_ONLN))
    return;  // the launcher has given each its own
  set_threads(std::max<int64_t>(1, at::get_num_threads() / launch.local_ranks));
}

/// What all processes have to agree on before they train together.
void require_same_job(const Ranks& ranks, const TrainingJob& job, const std::vector<DataFile>& data) {
  ranks.require_same("bilens", version(), "Start the same program everywhere.");
  ranks.require_same("the config", format_json(job.shared_settings()),
                     "Start all processes with the same config and flags.");
  // Replicas stay the same where each computes its steps with as many threads.
  ranks.require_same("threads", std::to_string(at::get_num_threads()), "Say by --threads how many.");
  std::string hashes;
  for (const auto& file : data) hashes += file.sha256 + "\n";
  ranks.require_same("sha256 of the data", hashes, "Give all processes the same files.");
}

Outcome run_job(const TrainRunOptions& options, TrainingJob& job, const Ranks& ranks) {
  const at::Device device = choose_device(job.settings().device);
  require_shared_device(device, options.launch);
  share_threads(job, options.launch);
  job.prepare();
  std::vector<DataFile> data;
  if (!ranks.alone()) {
    data = describe_data_files(job.data_files());
    require_same_job(ranks, job, data);
  }

  // The first process is the only one that writes. The others read in the folder what it has written.
  std::optional<DirectoryLock> lock;
  const fs::path model = options.out / "model";
  ranks.on_first([&] {
    lock.emplace(options.out);
    check_out(options.out, options.resume);
    data = check_same_run(options, job);
    remove_leftovers(options.out);
    remove_leftovers(options.out / "checkpoints");
    if (fs::exists(model)) return;
    write_text(options.out / "config.json", format_json(job.config()));
    auto environment = describe_environment(describe_device(device));
    if (!ranks.alone()) environment.processes = ranks.count();
    write_record_file(options.out / Environment::kFile, environment);
  });
  // The model is written last: where it is, the run is finished.
  if (ranks.text_from_first(fs::exists(model) ? "finished" : "") == "finished") {
    if (!ranks.first()) return elsewhere();
    log_info("this run is finished");
    return job.test(device, model);
  }
  auto [outcome, summary, unit] = job.train(device, {options.out, options.resume, model, data, ranks});
  if (!ranks.first()) return elsewhere();
  outcome.results.at(0).update(RunFigures::record().write(figures_of(summary, unit, device)));
  return outcome;
}

Outcome run_job(const TrainRunOptions& options, const MakeJob& make_job) {
  if (options.launch.rank > 0) {
    if (options.dry_run) return elsewhere();
    set_verbosity(Verbosity::kErrors);
  }
  if (options.dry_run) return dry_run(options, make_job);
  const auto job = make_job(options);
  const Ranks ranks(options.launch, std::chrono::seconds(job->settings().rank_timeout));
  Outcome outcome;
  ranks.take_part([&] { outcome = run_job(options, *job, ranks); });
  return outcome;
}

}  // namespace

Estimate memory_plan(at::Device device, int64_t needed) {
  Estimate plan;
  plan.memory_bytes = peak_memory() + needed;
  if (device.is_cpu()) return plan;
  constexpr int64_t kCudaLibraries =
      450'000'000;  // loaded as they are used: seen 330 to 540 MB, LibTorch 2.11
  plan.memory_bytes = peak_memory() + kCudaLibraries;
  plan.device_memory_bytes = device_memory(device).now + needed;
  return plan;
}

Json train_config_schema() { return {{"anyOf", {image_job_schema(), text_job_schema()}}}; }

Json finetune_config_schema() { return finetune_job_schema(); }

Outcome run_training(const TrainRunOptions& options) { return run_job(options, make_training); }

Outcome run_finetuning(const TrainRunOptions& options) {
  return run_job(options, [](const TrainRunOptions& given) {
    const auto kind = kind_of_config(given.config);
    if (kind.has_model && !kind.has_teacher) throw config_of_other(given.where, "finetune", "model", "train");
    if (!kind.has_teacher) {
      throw Error(ExitCode::kUsage,
                  {key_path(given.where, "teacher"), "the checkpoint that is to become bilinear", "none",
                   "Name a model directory or a llama2.c file, in the config or by --set teacher=MODEL."});
    }
    return make_finetune_job(given.config, given.where, given.teacher);
  });
}

}  // namespace bilens
