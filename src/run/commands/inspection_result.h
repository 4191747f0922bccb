#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bilens/records/record_table.h"

namespace bilens {

struct InspectedTensor {
  std::string name, dtype;
  std::vector<int64_t> shape;
  int64_t parameters = 0;

  static const RecordTable<InspectedTensor>& record();
};

/// What `bilens inspect --json` prints.
struct InspectionResult {
  std::string model;
  std::optional<Json> config;
  std::vector<InspectedTensor> tensors;
  int64_t parameters = 0, bytes = 0;

  static const RecordTable<InspectionResult>& record();
};

std::string inspection_in_words(const InspectionResult& result);

}  // namespace bilens
