#include "bilens/study/beside_controls.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace bilens {

const RecordTable<ControlTest>& ControlTest::record() {
  using R = ControlTest;
  static const auto table =
      RecordTable<R>()
          .field("difference", &R::difference, "Its own figure minus the mean of the controls', by document.")
          .field("p", &R::p, "Its rank among the controls by absolute value.");
  return table;
}

int64_t controls_needed(int64_t looked_at) { return 20 * looked_at - 1; }

double rank_p(double own, const std::vector<double>& controls) {
  if (controls.empty()) return NAN;
  // Not "at least as large", so that what is not a number speaks against the thing.
  const auto as_large = std::count_if(controls.begin(), controls.end(),
                                      [&](double control) { return !(std::abs(control) < std::abs(own)); });
  return static_cast<double>(as_large + 1) / static_cast<double>(controls.size() + 1);
}

ControlTest test_beside(const at::Tensor& tokens, const at::Tensor& own, const at::Tensor& controls) {
  const auto total = controls.sum(1).contiguous();
  const double* sums = total.const_data_ptr<double>();
  return {document_intervals(tokens, (own - controls.mean(0)).unsqueeze(0)).front(),
          rank_p(own.sum().item<double>(), {sums, sums + total.numel()})};
}

}  // namespace bilens
