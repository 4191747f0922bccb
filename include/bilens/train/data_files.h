#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bilens/records/data_file.h"

namespace bilens {

/// The files that a run reads, for its checkpoints.
/// @throws Error(kBadInput) for one that cannot be read
std::vector<DataFile> describe_data_files(const std::vector<std::filesystem::path>& files);

/// A resumed run must read the same bytes, file by file, wherever they lie. @param before of an earlier part
/// of the run
/// @param source the file that says so
/// @param otherwise what to do where the file is not to be had any more
/// @throws Error(kBadInput) that names each file that differs
void require_same_data(const KnownDataFiles& before, const std::filesystem::path& source,
                       const std::vector<DataFile>& now,
                       const std::string& otherwise = "start anew with another --out");

/// Compares the files with those that the newest checkpoint in `folder` says its run read.
/// @return whether one says it @throws as require_same_data
bool require_same_data_as_checkpoint(const std::filesystem::path& folder, const std::vector<DataFile>& now);

/// Compares the files that a finished run's model is now tried on with those that the run read, where its
/// checkpoints in `folder` say so. @throws as require_same_data
void require_data_of_run(const std::filesystem::path& folder,
                         const std::vector<std::filesystem::path>& files);

}  // namespace bilens
