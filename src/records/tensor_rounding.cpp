#include "bilens/records/tensor_rounding.h"

namespace bilens {

const RecordTable<TensorRounding>& TensorRounding::record() {
  using R = TensorRounding;
  static const auto table =
      RecordTable<R>()
          .field("unchanged", &R::unchanged, "Whether all of it is rounding; of a difference.")
          .omitted()
          .field("floor", &R::floor, "What rounding can leave of the root of `squared_norm`.")
          .not_negative()
          .omitted();
  return table;
}

}  // namespace bilens
