#pragma once

#include <string>
#include <vector>

#include "bilens/run/outcome.h"
#include "bilens/tensor/device.h"

namespace bilens {

struct EvaluateRunOptions {
  std::vector<std::string> models;
  std::string data;       // SPEC; empty: the run's own
  std::string tokenizer;  // for text; empty: the model's
  int64_t context = 0;    // tokens in a window; 0: the run's, or the model's positions up to 2048
  DeviceChoice device;
  int64_t threads = 0;
  bool dry_run = false;
};

/// Loss and accuracy of each image classifier on the test split, loss and perplexity of each language model
/// on the text.
Outcome run_evaluation(const EvaluateRunOptions& options);

}  // namespace bilens
