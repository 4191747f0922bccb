#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bilens/dist/ranks.h"
#include "bilens/model/stored_model.h"
#include "bilens/records/data_file.h"
#include "bilens/run/outcome.h"
#include "bilens/tensor/device.h"
#include "bilens/train/checkpoint.h"
#include "bilens/train/text_task.h"
#include "bilens/train/trainer.h"

namespace bilens {

/// In the folder of a fine-tuning, what its closed-form stage gave; one put there beforehand is taken.
constexpr const char* kCalibratedFolder = "calibrated";

/// The keys that every training config has beside "model", "data" and "train".
struct RunConfig {
  int64_t format_version = 1;
  CheckpointConfig checkpoint;
  DeviceChoice device;
  int64_t threads = 0;
  int64_t rank_timeout = 600;
};

template <class C>
FieldTable<C>& add_run_fields(FieldTable<C>& table) {
  CheckpointConfig C::*const checkpoint = &C::checkpoint;
  DeviceChoice C::*const device = &C::device;
  return table.nested("checkpoint", checkpoint, CheckpointConfig::fields())
      .custom("device", device, device_schema(), read_device, write_device)
      .integer("threads", &C::threads, "CPU threads; 0: one for each processor that may be used.",
               between(0, kMostThreads), "threads")
      .integer("rank_timeout", &C::rank_timeout,
               "Seconds that a process waits for another before all of them end.", between(1, 1e6),
               "seconds");
}

/// Where a run writes, and what it goes on with.
struct RunPlace {
  std::filesystem::path out;
  bool resume = false;
  std::filesystem::path model;  // the finished model's directory, not there yet
  std::vector<DataFile> data;   // describe_data_files of the job's
  const Ranks& ranks;           // who train it together; only the first writes, and has a result
};

/// What became of a run.
struct TrainingResult {
  Outcome outcome;
  TrainSummary summary;
  TrainedOn unit = TrainedOn::kTokens;  // of its rate
};

/// One training run of one kind of model, from its config to its model directory. The functions are called in
/// this order.
class TrainingJob {
 public:
  virtual ~TrainingJob() = default;

  virtual const RunConfig& settings() const = 0;
  /// The config with every default, for OUT/config.json.
  virtual Json config() const = 0;
  /// What a resumed run must have as it was: all settings but where it computes and how often it saves.
  /// @param known_data the data are known by what is in them, so that their path may differ too
  virtual Json kept_settings(bool known_data) const = 0;
  /// The same of an earlier run's config. @throws Error(kBadInput)
  virtual Json kept_settings(const Json& earlier, const std::string& where, bool known_data) const = 0;
  /// What processes that train together must have in common: all settings but where each one computes and
  /// where its files lie, which are known by what is in them.
  virtual Json shared_settings() const = 0;

  /// Reads the data, and decides what of the model follows from it. @throws Error with all contradictions
  virtual void prepare() = 0;

  /// The files that it reads, behind prepare().
  virtual std::vector<std::filesystem::path> data_files() const = 0;

  /// What the run takes, for a dry run, but for its time.
  virtual Estimate estimate(at::Device device) const = 0;
  /// How long its steps take. Called where memory is sufficient.
  virtual double seconds(at::Device device) const = 0;

  /// Trains and fills the finished model's directory.
  virtual TrainingResult train(at::Device device, const RunPlace& place) = 0;

  /// The test result of a model that is finished.
  virtual Outcome test(at::Device device, const std::filesystem::path& model) = 0;
};

/// The main memory, with what the process holds now, where `needed` more are taken; on a GPU these are apart.
Estimate memory_plan(at::Device device, int64_t needed);

/// The jobs: both kinds of models from scratch, and a checkpoint made bilinear. @param config as the user
/// wrote it @param teacher in memory; nothing: where the config says @throws Error(kUsage)
std::unique_ptr<TrainingJob> make_image_job(const Json& config, const std::string& where);
std::unique_ptr<TrainingJob> make_text_job(const Json& config, const std::string& where);
std::unique_ptr<TrainingJob> make_finetune_job(const Json& config, const std::string& where,
                                               const std::optional<StoredModel>& teacher);

/// JSON Schemas of their configs.
Json image_job_schema();
Json text_job_schema();
Json finetune_job_schema();

}  // namespace bilens
