#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace bilens {

/// What write_report has written.
struct ReportSummary {
  std::filesystem::path file;
  int64_t bytes = 0;
  int64_t models = 0;
};

/// Writes one self-contained HTML page about finished runs and decompositions: training curves, spectra,
/// eigenvectors as images, truncation, provenance. Everything on it comes from files; nothing is computed
/// with a model, and the page loads nothing from the network. Above 20 MB it is written with fewer
/// eigenvectors, and says so.
///
/// Each directory is a run directory, a model directory, a decomposition directory, or a folder of any of
/// these (one level deep). What belongs to it is found around it: of a run its model, of a model its
/// decomposition, of a decomposition the model it was made from (where the SHA-256 of the weights agrees). A
/// model named twice is shown once.
///
/// @param out the file to write; it appears whole or not at all.
/// @throws Error(kUsage) without directories; Error(kBadInput) for a directory that holds none of these and
/// for damaged
///   files; Error(kFailure, kExhausted) when `out` cannot be written or there are too many models for one
///   page.
ReportSummary write_report(const std::vector<std::filesystem::path>& directories,
                           const std::filesystem::path& out);

}  // namespace bilens
