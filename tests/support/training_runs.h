#pragma once

#include <ATen/ATen.h>

#include <sstream>
#include <vector>

#include "bilens/core/json.h"
#include "bilens/core/log.h"
#include "temporary_folder.h"

namespace bilens::test {

/// Keeps runs from saying what --quiet leaves out.
struct Quiet {
  Quiet() { set_verbosity(Verbosity::kQuiet); }
  ~Quiet() { set_verbosity(Verbosity::kNormal); }
};

/// Whether two lists hold the same numbers.
inline bool equal(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  bool same = a.size() == b.size();
  for (size_t i = 0; same && i < a.size(); ++i) same = at::equal(a[i], b[i]);
  return same;
}

/// The lines of a run's metrics.jsonl.
inline std::vector<Json> read_metrics(const std::filesystem::path& run) {
  std::istringstream lines(read_file(run / "metrics.jsonl"));
  std::vector<Json> list;
  for (std::string line; std::getline(lines, line);) list.push_back(Json::parse(line));
  return list;
}

}  // namespace bilens::test
