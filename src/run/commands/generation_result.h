#pragma once

#include <string>
#include <vector>

#include "bilens/records/record_table.h"

namespace bilens {

/// What `bilens generate --json` prints.
struct GenerationResult {
  std::string model, prompt, text;
  std::vector<int64_t> tokens;
  std::string stopped;
  double tokens_per_second = 0;

  static const RecordTable<GenerationResult>& record();
};

}  // namespace bilens
