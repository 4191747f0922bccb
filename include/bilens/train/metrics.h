#pragma once

#include <filesystem>
#include <fstream>

#include "bilens/records/metrics.h"

namespace bilens {

/// Writes metrics.jsonl. Each line is flushed, so the file can be followed while a run goes on.
class MetricsWriter {
 public:
  /// Keeps what the file already says up to `last_step`, except the final test result, and appends from
  /// there.
  MetricsWriter(const std::filesystem::path& path, int64_t last_step);

  void write(const MetricsLine& line);

  /// Whether what it kept has the validation of the last step.
  bool kept_validation() const { return validated_; }

 private:
  std::filesystem::path path_;
  std::ofstream stream_;
  bool validated_ = false;
};

}  // namespace bilens
