#include "bilens/train/document_sums.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "bilens/core/student_t.h"
#include "bilens/train/sign_flips.h"

namespace bilens {

namespace {
constexpr double kCoverage = 0.95;
}  // namespace

DocumentSums::DocumentSums(const TokenStream& stream, int64_t end, int64_t figures)
    : starts_(at::tensor(
          at::ArrayRef<int64_t>(
              stream.starts.data(),
              static_cast<size_t>(std::distance(
                  stream.starts.begin(), std::lower_bound(stream.starts.begin(), stream.starts.end(), end)))),
          at::kLong)),
      sums_(at::zeros({figures + 1, starts_.size(0)}, at::kDouble)) {}

void DocumentSums::add(const std::vector<int64_t>& begins, const std::vector<at::Tensor>& figures) {
  std::vector<at::Tensor> values = {at::ones_like(figures.front())};
  values.insert(values.end(), figures.begin(), figures.end());
  const auto places = at::tensor(begins, at::kLong).unsqueeze(1) + at::arange(1, figures.front().size(1) + 1);
  const auto document = at::searchsorted(starts_, places, /*out_int32=*/false, /*right=*/true).sub(1);
  sums_.index_add_(1, document.flatten(), at::stack(values).to(at::kCPU, at::kDouble).flatten(1));
}

at::Tensor DocumentSums::tokens() const { return sums_[0].to(at::kLong); }

std::vector<IntervalRecord> document_intervals(const at::Tensor& tokens, const at::Tensor& sums) {
  const auto used = tokens.nonzero().squeeze(1);
  const auto weights = tokens.index_select(0, used).to(at::kDouble), values = sums.index_select(1, used);
  const auto total = weights.sum(), means = values.sum(1) / total;
  const int64_t n = used.size(0);
  const auto squares = (values - means.unsqueeze(1) * weights).square().sum(1);
  const auto count = static_cast<double>(n);
  const auto half =
      n < 2 ? at::full_like(means, NAN)
            : (squares * (count / (count - 1))).sqrt() / total * student_t_bound(kCoverage, n - 1);
  const auto signs = flip_signs(values);
  std::vector<IntervalRecord> intervals;
  for (int64_t i = 0; i < sums.size(0); ++i) {
    const double mean = means[i].item<double>(), width = half[i].item<double>();
    intervals.push_back({mean, mean - width, mean + width, n, signs.p[static_cast<size_t>(i)], signs.flips});
  }
  return intervals;
}

}  // namespace bilens
