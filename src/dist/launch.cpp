#include "bilens/dist/launch.h"

#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "bilens/core/error.h"

namespace bilens {

namespace {

/// The names under which one launcher tells the numbers.
struct Names {
  const char *rank, *ranks, *local_ranks;
};

constexpr std::array kLaunchers = {
    Names{"RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"},
    // A step of srun sets these. A job's own script has SLURM_NTASKS too, but there is one process.
    Names{"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_TASKS_PER_NODE"},
    Names{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"},
};

constexpr int64_t kDefaultPort = 29500;  // torch's

std::string text_of(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

int64_t number_of(const char* name, int64_t least, int64_t most) {
  const auto text = text_of(name);
  int64_t number = least - 1;
  // Slurm writes "4(x2)" for four tasks on each of two machines.
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = end == text.data() + text.size() || *end == '(' || *end == ',';
  if (error == std::errc() && whole && number >= least && number <= most) return number;
  throw Error(ExitCode::kUsage,
              {std::string("environment variable ") + name,
               "a number from " + std::to_string(least) + " to " + std::to_string(most),
               text.empty() ? "none" : "\"" + text + "\"",
               "A launcher such as torchrun sets it. Unset the launcher's variables for one process."});
}

}  // namespace

Launch Launch::from_environment() {
  Launch launch;
  for (const auto& names : kLaunchers) {
    if (text_of(names.rank).empty() || text_of(names.ranks).empty()) continue;
    launch.ranks = number_of(names.ranks, 1, 1 << 20);
    launch.rank = number_of(names.rank, 0, launch.ranks - 1);
    launch.local_ranks =
        text_of(names.local_ranks).empty() ? 1 : number_of(names.local_ranks, 1, launch.ranks);
    break;
  }
  if (launch.alone()) return launch;
  launch.address = text_of("MASTER_ADDR");
  if (launch.address.empty()) {
    if (launch.local_ranks < launch.ranks) {
      throw Error(ExitCode::kUsage,
                  {"environment variable MASTER_ADDR", "the address of the machine of rank 0", "none",
                   "Set it: in a Slurm job to the first name that `scontrol show hostnames` gives."});
    }
    launch.address = "127.0.0.1";
  }
  launch.port = text_of("MASTER_PORT").empty() ? kDefaultPort : number_of("MASTER_PORT", 1, 65535);
  launch.store_is_there = text_of("TORCHELASTIC_USE_AGENT_STORE") == "True";
  if (const auto attempt = text_of("TORCHELASTIC_RESTART_COUNT"); !attempt.empty()) launch.attempt = attempt;
  if (const auto job = text_of("SLURM_JOB_ID"); !job.empty()) launch.attempt += "/" + job;
  return launch;
}

}  // namespace bilens
