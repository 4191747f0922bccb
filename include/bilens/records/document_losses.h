#pragma once

#include "bilens/records/record_file.h"
#include "bilens/records/tensor_table.h"

namespace bilens {

/// test.safetensors of a conversion: the losses of a model and its teacher by document, for intervals over
/// documents.
struct DocumentLosses {
  static constexpr RecordFormat kFormat = {"bilens-documents", 1};
  static constexpr const char* kFile = "test.safetensors";

  at::Tensor tokens, losses, teacher_losses;

  static const TensorTable<DocumentLosses>& tensors();
};

}  // namespace bilens
