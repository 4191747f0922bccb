#pragma once

#include <filesystem>
#include <fstream>

#include "bilens/core/json.h"

namespace bilens {

/// metrics.jsonl: one JSON object a step or evaluation, each with its "step". Each line is flushed, so the
/// file can be followed while a run goes on.
class MetricsWriter {
 public:
  /// Keeps what the file already says up to `last_step`, except the final test result, and appends from
  /// there.
  MetricsWriter(const std::filesystem::path& path, int64_t last_step);

  void write(const Json& record);

 private:
  std::filesystem::path path_;
  std::ofstream stream_;
};

}  // namespace bilens
