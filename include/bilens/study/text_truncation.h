#pragma once

#include <vector>

#include "bilens/study/corpus_study.h"
#include "bilens/train/document_sums.h"

namespace bilens {

/// A model whose layer gives along its directions what the first k eigenpairs (and the linear and constant
/// part) do.
struct TruncatedLayer {
  int64_t layer = 0;
  std::vector<int64_t> k;                // 0, 1, 2, 4, ... and all there are
  std::vector<DocumentInterval> change;  // of the loss, nats above the model's own, for each
};

struct TextTruncation {
  int64_t tokens = 0, documents = 0;  // predicted, and those they are of
  double loss = 0.0;                  // the model's own
  std::vector<TruncatedLayer> layers;
};

/// Loss on a text with one layer at a time truncated. What lies outside the span of its directions stays the
/// model's own; with axes as directions nothing does. Runs the model once, and once for each layer and k.
/// @throws Error(kBadInput) when layers and model do not fit; Stopped
TextTruncation truncate_on_text(Decoder& model, const TextWindows& text,
                                const std::vector<CorpusSource>& sources);

/// {"tokens", "documents", "loss", "layers": [{"layer", "k", "change": [{"mean", "low", "high",
/// "documents"}]}]}
Json to_json(const TextTruncation& truncation);

}  // namespace bilens
