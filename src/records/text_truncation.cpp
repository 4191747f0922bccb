#include "bilens/records/text_truncation.h"

namespace bilens {

const RecordTable<TruncatedLayer>& TruncatedLayer::record() {
  using R = TruncatedLayer;
  static const auto table =
      RecordTable<R>()
          .field("layer", &R::layer, "Number of the layer that is truncated.")
          .field("k", &R::k, "Eigenpairs that are kept of each direction: 0, 1, 2, 4, ... and all there are.",
                 "eigenpairs")
          .field("change", &R::change, "Loss above the model's own, for each `k`.", "nats a token");
  return table;
}

const RecordTable<LossesRecord>& LossesRecord::record() {
  using R = LossesRecord;
  static const auto table =
      RecordTable<R>()
          .field("tokens", &R::tokens, "How many tokens were predicted.", "tokens")
          .field("documents", &R::documents, "How many documents these are of.", "documents")
          .field("loss", &R::loss, "The model's own cross-entropy on them.", "nats a token")
          .field("layers", &R::layers, "Losses with one layer truncated, one entry a layer.");
  return table;
}

}  // namespace bilens
