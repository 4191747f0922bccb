#pragma once

#include "bilens/data/token_stream.h"
#include "bilens/model/decoder.h"
#include "bilens/records/conversion.h"
#include "bilens/records/document_losses.h"

namespace bilens {

/// A model beside its teacher, on the same text.
struct TextComparison {
  /// R² of a layer is of its output, the residual stream behind it (of the last layer behind the final norm):
  /// 1 − Σ‖h − h_t‖² / Σ‖h_t − mean‖², h_t the teacher's.
  SeenBesideTeacher seen;
  DocumentLosses documents;
};

/// Bytes that compare_text() holds beside both models.
int64_t comparison_memory(const DecoderConfig& model, int64_t context);

/// Windows as evaluate_text. @throws Stopped
TextComparison compare_text(Decoder& model, Decoder& teacher, const TokenStream& stream, int64_t context);

}  // namespace bilens
