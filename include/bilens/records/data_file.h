#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bilens/records/record_table.h"

namespace bilens {

/// One file that a run reads.
struct DataFile {
  std::string path;
  int64_t bytes = 0;
  std::string sha256;

  static const RecordTable<DataFile>& record();
};

/// All of them, in their order; nothing where it is not known.
using KnownDataFiles = std::optional<std::vector<DataFile>>;

}  // namespace bilens
