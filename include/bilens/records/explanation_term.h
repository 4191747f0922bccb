#pragma once

#include "bilens/records/record_table.h"

namespace bilens {

/// One eigenvector's part of what is explained, a logit or a difference of two: contribution = λ p², p = v·x.
struct ExplanationTerm {
  int64_t layer = 0, index = 0;
  double eigenvalue = 0, projection = 0, contribution = 0;

  static const RecordTable<ExplanationTerm>& record();
};

}  // namespace bilens
