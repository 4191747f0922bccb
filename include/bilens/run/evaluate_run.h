#pragma once

#include <string>
#include <vector>

#include "bilens/run/outcome.h"

namespace bilens {

struct EvaluateRunOptions {
  std::vector<std::string> models;
  std::string data;  // SPEC; empty: the run's own
  std::string device = "auto";
  int64_t threads = 0;
  bool dry_run = false;
};

/// Loss and accuracy of each model on the test split.
Outcome run_evaluation(const EvaluateRunOptions& options);

}  // namespace bilens
