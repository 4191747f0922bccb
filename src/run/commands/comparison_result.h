#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bilens/study/comparison.h"

namespace bilens {

/// Two models side by side, as `bilens compare --json` prints them.
struct ComparisonResult {
  std::vector<std::string> models;  // their paths
  std::optional<Comparison> likeness;

  static const RecordTable<ComparisonResult>& record();
};

std::string comparison_in_words(const ComparisonResult& result);

}  // namespace bilens
