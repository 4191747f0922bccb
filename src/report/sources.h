#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace bilens::report {

/// The directories that belong to one model; empty paths for what there is not.
struct Source {
  std::string name;                     // for people: "demo" of runs/demo/model/decomposition
  std::filesystem::path run;            // holds metrics.jsonl
  std::filesystem::path model;          // holds config.json with a model_type
  std::filesystem::path decomposition;  // holds decomposition.json
};

/// Recognises each directory and finds what belongs to it, in the order given; a folder's content by name.
/// @throws Error(kBadInput) for a directory in which there is nothing to report.
std::vector<Source> find_sources(const std::vector<std::filesystem::path>& directories);

/// SHA-256 of the weights that the source is about; "" where these are not there.
std::string weights_of(const Source& source);

}  // namespace bilens::report
