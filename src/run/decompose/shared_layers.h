#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "bilens/core/locks.h"

namespace bilens {

/// What a process does where other processes are at all that is left.
enum class Others { kWaitFor, kLeaveTo };

using FolderLock = std::variant<DirectoryLock, SharedDirectoryLock>;

/// Keeps the folder of a decomposition to those that resume it with the same job, or where there is none to
/// this process.
/// @param job as of SharedDirectoryLock @return nothing where another process has finished the decomposition,
/// or with kLeaveTo is at it @throws Stopped; as the locks
std::optional<FolderLock> lock_to_resume(const std::filesystem::path& directory,
                                         const std::optional<std::string>& job, Others others);

/// The layers of one decomposition, shared among the processes that resume it. A process claims a layer while
/// it works at it, by a lock that goes with the process. A claim only saves work: what another process has
/// finished, or has left half done, is gone on with as what an earlier run left.
class SharedLayers {
 public:
  /// @param directory of the decomposition @param layers their numbers
  SharedLayers(std::filesystem::path directory, std::vector<int64_t> layers);

  /// Calls `work` for each layer once, those last that others are at.
  /// @return whether all were worked at; false where another process has finished the decomposition, or with
  /// kLeaveTo is at all that is left
  /// @throws Stopped; Error(kFailure) for a folder without locks
  bool for_each(Others others, const std::function<void(int64_t)>& work) const;

  /// The right to finish the decomposition, while no other process is at a layer of it. Nothing in the cases
  /// in which for_each gives false.
  std::optional<std::vector<FileLock>> claim_all(Others others) const;

 private:
  std::filesystem::path directory_;
  std::vector<int64_t> layers_;
};

}  // namespace bilens
