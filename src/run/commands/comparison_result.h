#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bilens/study/over_models.h"

namespace bilens {

/// Two models side by side, or behind these all of several, as `bilens compare --json` prints them.
struct ComparisonResult {
  std::vector<std::string> models;  // their paths
  std::optional<Comparison> likeness;
  std::optional<OverModels> over;  // of all, in the place of a likeness

  static const RecordTable<ComparisonResult>& record();
};

std::string comparison_in_words(const ComparisonResult& result);

}  // namespace bilens
