#pragma once

#include <string>
#include <vector>

#include "bilens/train/document_sums.h"

namespace bilens {

/// How many controls let a rank test's p reach .05 for each of m things that are looked at (Bonferroni):
/// 1/(c + 1) ≤ .05/m from c = 20m − 1 on.
int64_t controls_needed(int64_t looked_at);

/// The p of a Monte Carlo rank test: the share of the controls and the thing itself whose effect is at least
/// as large as its own, in absolute value; 1/(c + 1) or more. NaN without controls.
double rank_p(double own, const std::vector<double>& controls);

/// One figure beside those of controls of one kind.
struct ControlTest {
  IntervalRecord difference;  // of its own and the controls' mean, by document
  double p = 1.0;             // rank_p() of the means over tokens

  static const RecordTable<ControlTest>& record();
};

/// @param tokens int64 [documents] @param own float64 [documents]: sums @param controls [controls,
/// documents], at least one
ControlTest test_beside(const at::Tensor& tokens, const at::Tensor& own, const at::Tensor& controls);

}  // namespace bilens
