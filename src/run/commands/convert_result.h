#pragma once

#include <string>

#include "bilens/records/record_table.h"

namespace bilens {

/// What `bilens convert --json` prints.
struct ConvertResult {
  std::string model, out;
  int64_t parameters = 0, bytes = 0;

  static const RecordTable<ConvertResult>& record();
};

}  // namespace bilens
