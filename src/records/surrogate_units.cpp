#include "bilens/records/surrogate_units.h"

namespace bilens {

const TensorTable<SurrogateUnits>& SurrogateUnits::tensors() {
  using R = SurrogateUnits;
  static const auto table =
      TensorTable<R>()
          .tensor("gate_shift", &R::gate_shift, "d_hidden", StoredAs::kFloat32, "β, for each hidden unit")
          .tensor("up_scale", &R::up_scale, "d_hidden", StoredAs::kFloat32, "α, likewise")
          .tensor("up_gate", &R::up_gate, "d_hidden", StoredAs::kFloat32, "γ")
          .tensor("up_shift", &R::up_shift, "d_hidden", StoredAs::kFloat32, "δ")
          .tensor("constant", &R::constant, "d_hidden", StoredAs::kFloat32, "κ");
  return table;
}

}  // namespace bilens
