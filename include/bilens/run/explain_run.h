#pragma once

#include <string>

#include "bilens/run/outcome.h"
#include "bilens/tensor/device.h"

namespace bilens {

struct ExplainRunOptions {
  std::string model;
  std::string input;  // test:N, train:N of the data, or IDX_FILE:N
  std::string data;   // SPEC; empty: the run's own
  std::string out;    // folder for the files; empty: none are written
  DeviceChoice device;
  int64_t threads = 0;
  bool dry_run = false;
};

/// One image's logits as a sum over eigenvectors, direct path and biases.
Outcome run_explanation(const ExplainRunOptions& options);

}  // namespace bilens
