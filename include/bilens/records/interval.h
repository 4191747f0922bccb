#pragma once

#include "bilens/records/record_table.h"

namespace bilens {

/// A mean over tokens and its 95% interval over the documents that these belong to.
struct IntervalRecord {
  double mean = 0.0, low = 0.0, high = 0.0;  // low and high NaN for fewer than two documents
  int64_t documents = 0;                     // n, of those with tokens

  static const RecordTable<IntervalRecord>& record();
};

}  // namespace bilens
