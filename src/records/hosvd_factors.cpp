#include "bilens/records/hosvd_factors.h"

namespace bilens {

const RecordTable<HosvdMode>& HosvdMode::record() {
  using R = HosvdMode;
  static const auto table =
      RecordTable<R>()
          .field("kept", &R::kept, "Factors in the file.")
          .natural()
          .field("resolved", &R::resolved,
                 "Those of them that are above `floor`; with a difference these alone count as energy.")
          .natural()
          .field("energy", &R::energy_kept,
                 "Share of energy of the factors kept; null where there is nothing but rounding.")
          .share()
          .field("discarded", &R::discarded, "Σσ² of the factors that are not kept.")
          .not_negative()
          .field("floor", &R::floor, "What is below cannot be told from rounding.")
          .not_negative();
  return table;
}

TensorTable<HosvdMode> HosvdMode::tensors(const std::string& count, const std::string& size) {
  using R = HosvdMode;
  return TensorTable<R>()
      .tensor("vectors", &R::vectors, count + ", " + size, StoredAs::kRunDtype,
              "orthonormal rows, largest component positive")
      .tensor("singular_values", &R::singular_values, count, StoredAs::kFloat64, "σ, falling")
      .tensor("energy", &R::energy, count, StoredAs::kFloat64, "cumulative share of energy");
}

const RecordTable<HosvdFactors>& HosvdFactors::record() {
  using R = HosvdFactors;
  static const auto table = RecordTable<R>()
                                .field("squared_norm", &R::squared_norm, "Σ‖Q‖²_F of all directions.")
                                .not_negative()
                                .field("output", &R::output, "Factors that are mixtures of the directions.")
                                .field("input", &R::input, "Factors in the input space.")
                                .all_of(TensorRounding::record());
  return table;
}

const TensorTable<HosvdFactors>& HosvdFactors::tensors() {
  using R = HosvdFactors;
  static const auto table = TensorTable<R>()
                                .part("hosvd_output_", &R::output, HosvdMode::tensors("a", "n"))
                                .part("hosvd_input_", &R::input, HosvdMode::tensors("b", "d_in"));
  return table;
}

}  // namespace bilens
