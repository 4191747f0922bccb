#pragma once

#include "bilens/data/token_stream.h"
#include "bilens/dist/ranks.h"
#include "bilens/model/decoder.h"
#include "bilens/records/metrics.h"

namespace bilens {

struct TextEvaluation {
  int64_t tokens = 0;  // predicted
  double loss = 0.0;   // mean −log p of them, nats a token

  double perplexity() const;  // e^loss
};

/// An evaluation as a line of metrics.jsonl, without step and epoch.
EvaluationMetrics metrics_of(const TextEvaluation& evaluation, const char* split);

/// Loss of a language model on a stream: consecutive windows of `context` tokens, a last one of at least 2
/// kept; tokens 2 … n of each window are predicted from all that stand before them in it.
/// @param ranks who share the windows: all get the same result, that of one process @throws Stopped
TextEvaluation evaluate_text(Decoder& model, const TokenStream& stream, int64_t context,
                             const Ranks& ranks = Ranks::one());

}  // namespace bilens
