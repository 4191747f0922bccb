#pragma once

#include <cmath>

#include "bilens/records/record_table.h"

namespace bilens {

/// A mean change over tokens, its 95% interval over the documents that these belong to, and what flipping
/// their signs says of it.
struct IntervalRecord {
  double mean = 0.0, low = 0.0, high = 0.0;  // low and high NaN for fewer than two documents
  int64_t documents = 0;                     // n, of those with tokens
  double flip_p = NAN;                       // NaN for one document
  int64_t flips = 0;                         // that it is of

  static const RecordTable<IntervalRecord>& record();
};

}  // namespace bilens
