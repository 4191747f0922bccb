#pragma once

#include "bilens/records/interval.h"

namespace bilens {

/// A model whose layer gives along its directions what the first k eigenpairs (and the linear and constant
/// part) do.
struct TruncatedLayer {
  int64_t layer = 0;
  std::vector<int64_t> k;              // 0, 1, 2, 4, ... and all there are
  std::vector<IntervalRecord> change;  // of the loss, nats above the model's own, for each

  static const RecordTable<TruncatedLayer>& record();
};

/// Losses on text with one layer at a time truncated: "losses" of corpus.json.
struct LossesRecord {
  int64_t tokens = 0, documents = 0;  // predicted, and those they are of
  double loss = 0.0;                  // the model's own
  std::vector<TruncatedLayer> layers;

  static const RecordTable<LossesRecord>& record();
};

}  // namespace bilens
