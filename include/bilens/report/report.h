#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace bilens {

/// One self-contained HTML page.
struct Report {
  std::string page;
  int64_t models = 0;
};

/// Makes one self-contained HTML page about finished runs and decompositions: training curves, spectra,
/// eigenvectors as images, truncation, provenance. Everything on it comes from files; nothing is computed
/// with a model, and the page loads nothing from the network. Above 20 MB it is made with fewer eigenvectors,
/// and says so.
///
/// Each directory is a run directory, a model directory, a decomposition directory, or a folder of any of
/// these (one level deep). What belongs to it is found around it: of a run its model, of a model its
/// decomposition, of a decomposition the model it was made from (where the SHA-256 of the weights agrees). A
/// model named twice is shown once.
///
/// @throws Error(kUsage) without directories; Error(kBadInput) for a directory that holds none of these and
/// for damaged
///   files; Error(kFailure) for too many models for one page.
Report make_report(const std::vector<std::filesystem::path>& directories);

}  // namespace bilens
