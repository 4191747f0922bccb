#include "bilens/records/interval.h"

namespace bilens {

const RecordTable<IntervalRecord>& IntervalRecord::record() {
  using R = IntervalRecord;
  static const auto table =
      RecordTable<R>()
          .field("mean", &R::mean, "Mean over tokens.")
          .field("low", &R::low, "Lower end of the 95% interval by Student's t over documents; null for one.")
          .field("high", &R::high, "Its upper end; null for one document.")
          .field("documents", &R::documents, "How many documents the tokens are of.", "documents");
  return table;
}

}  // namespace bilens
