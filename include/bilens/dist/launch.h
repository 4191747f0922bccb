#pragma once

#include <cstdint>
#include <string>

namespace bilens {

/// What a launcher tells each of the processes that it starts.
struct Launch {
  int64_t rank = 0;         // of this process
  int64_t ranks = 1;        // processes in all
  int64_t local_ranks = 1;  // of these on this machine
  std::string address;      // where the process of rank 0 is reached
  int64_t port = 0;
  bool store_is_there = false;  // the launcher serves the store at that address, and not rank 0
  std::string attempt = "0";    // which of the launcher's jobs, and how often it has started them before

  bool alone() const { return ranks <= 1; }

  /// By the variables of torchrun (RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT), of Slurm's
  /// srun or of Open MPI's mpirun, with MASTER_ADDR and MASTER_PORT where there are several machines; without
  /// any of them one process alone.
  /// @throws Error(kUsage) for variables that contradict each other or are missing
  static Launch from_environment();
};

}  // namespace bilens
