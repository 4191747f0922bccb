#include "bilens/records/sparsity_record.h"

namespace bilens {

const TensorTable<Sparsity>& Sparsity::tensors() {
  using S = Sparsity;
  static const auto table =
      TensorTable<S>()
          .tensor("nonzeros", &S::nonzeros, "", StoredAs::kFloat64, "entries that are not exactly zero")
          .tensor("participation", &S::participation, "", StoredAs::kFloat64,
                  "(Σx²)²/Σx⁴, the number of entries that a vector effectively lives on")
          .tensor("hoyer", &S::hoyer, "", StoredAs::kFloat64, "(√d − ‖x‖₁/‖x‖₂)/(√d − 1)");
  return table;
}

}  // namespace bilens
