#include "bilens/records/surrogate_lines.h"

namespace bilens {

const TensorTable<SurrogateLines>& SurrogateLines::tensors() {
  using R = SurrogateLines;
  static const auto table =
      TensorTable<R>()
          .tensor("slope", &R::slope, "d_hidden", StoredAs::kFloat32, "a, for each hidden unit")
          .tensor("offset", &R::offset, "d_hidden", StoredAs::kFloat32, "b, for each hidden unit");
  return table;
}

}  // namespace bilens
