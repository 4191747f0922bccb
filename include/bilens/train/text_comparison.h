#pragma once

#include <vector>

#include "bilens/data/token_stream.h"
#include "bilens/model/decoder.h"

namespace bilens {

/// A model beside its teacher, on the same text.
struct TextComparison {
  int64_t tokens = 0;                     // predicted
  double loss = 0.0, teacher_loss = 0.0;  // nats a token
  double divergence = 0.0;                // KL of the teacher's next token to the model's, nats a token
  double agreement = 0.0;                 // share of tokens for which both have the same likeliest next one
  /// Of each layer's output, the residual stream behind it (of the last layer behind the final norm):
  /// 1 − Σ‖h − h_t‖² / Σ‖h_t − mean‖², h_t the teacher's.
  std::vector<double> layer_r2;
  /// By document, [documents] each: predicted tokens (int64), sums of both models' losses in nats (float64).
  /// For intervals over documents.
  at::Tensor document_tokens, document_losses, document_teacher_losses;
};

/// Bytes that compare_text() holds beside both models.
int64_t comparison_memory(const DecoderConfig& model, int64_t context);

/// Windows as evaluate_text. @throws Stopped
TextComparison compare_text(Decoder& model, Decoder& teacher, const TokenStream& stream, int64_t context);

}  // namespace bilens
