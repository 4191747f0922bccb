#include "bilens/records/interval.h"

namespace bilens {

const RecordTable<IntervalRecord>& IntervalRecord::record() {
  using R = IntervalRecord;
  static const auto table =
      RecordTable<R>()
          .field("mean", &R::mean, "Mean over tokens.")
          .field("low", &R::low, "Lower end of the 95% interval by Student's t over documents; null for one.")
          .field("high", &R::high, "Its upper end; null for one document.")
          .field("documents", &R::documents, "How many documents the tokens are of.", "documents")
          .field(
              "flip_p", &R::flip_p,
              "Two-sided p of sign flips over documents, that each is as likely on the other side of 0; at "
              "least 2^(1 - documents); null for one document.")
          .share()
          .added_later()
          .field("flips", &R::flips,
                 "How many flips these are: all 2^documents up to 16 of them, else drawn ones.")
          .natural()
          .added_later();
  return table;
}

}  // namespace bilens
