#include "bilens/records/document_losses.h"

namespace bilens {

const TensorTable<DocumentLosses>& DocumentLosses::tensors() {
  using R = DocumentLosses;
  static const auto table = TensorTable<R>()
                                .tensor("tokens", &R::tokens, "n", StoredAs::kInt64,
                                        "how many tokens of each document were predicted")
                                .tensor("losses", &R::losses, "n", StoredAs::kFloat64,
                                        "sum of the model's losses over them, in nats")
                                .tensor("teacher_losses", &R::teacher_losses, "n", StoredAs::kFloat64,
                                        "sum of the teacher's losses over them, in nats");
  return table;
}

}  // namespace bilens
