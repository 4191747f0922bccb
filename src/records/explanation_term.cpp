#include "bilens/records/explanation_term.h"

namespace bilens {

const RecordTable<ExplanationTerm>& ExplanationTerm::record() {
  using R = ExplanationTerm;
  static const auto table =
      RecordTable<R>()
          .field("layer", &R::layer, "Number of the layer.")
          .natural()
          .field("index", &R::index, "Number of the eigenvector v, from 0 by falling |λ|.")
          .natural()
          .field("eigenvalue", &R::eigenvalue, "Its eigenvalue λ.")
          .field("projection", &R::projection, "p = v·x of the layer's input x.")
          .field("contribution", &R::contribution, "λp², its part of the logit.");
  return table;
}

}  // namespace bilens
