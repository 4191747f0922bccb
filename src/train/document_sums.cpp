#include "bilens/train/document_sums.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "bilens/tensor/random.h"

namespace bilens {

namespace {
constexpr int64_t kDrawnAtOnce = int64_t{1} << 22;  // documents, at 24 bytes
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

Json to_json(const DocumentInterval& interval) {
  return {{"mean", interval.mean}, {"low", interval.low}, {"high", interval.high}};
}

std::vector<DocumentInterval> bootstrap_documents(const at::Tensor& tokens, const at::Tensor& sums,
                                                  int64_t draws, uint64_t seed) {
  const auto used = tokens.nonzero().squeeze(1);
  const auto weights = tokens.index_select(0, used).to(at::kDouble), values = sums.index_select(1, used);
  const auto means = values.sum(1) / weights.sum();
  const int64_t documents = used.size(0);
  std::vector<DocumentInterval> intervals;
  if (documents < 2) {
    for (int64_t i = 0; i < sums.size(0); ++i) intervals.push_back({means[i].item<double>(), NAN, NAN});
    return intervals;
  }
  // How often each document is drawn, [count, documents].
  const auto generator = make_generator(at::kCPU, derive_seed(seed, "documents drawn"));
  std::vector<at::Tensor> parts;
  const int64_t at_once = std::max<int64_t>(1, kDrawnAtOnce / documents);
  for (int64_t first = 0; first < draws; first += at_once) {
    const int64_t count = std::min(at_once, draws - first);
    const auto drawn = at::randint(documents, {count, documents}, generator, at::dtype(at::kLong));
    const auto counts = at::zeros({count, documents}, at::kDouble)
                            .scatter_add_(1, drawn, at::ones({count, documents}, at::kDouble));
    parts.push_back(counts.mm(values.t()) / counts.mv(weights).unsqueeze(1));
  }
  const auto of_draws = at::cat(parts);  // [draws, figures]
  const auto ends = at::quantile(of_draws, at::tensor({0.025, 0.975}, at::kDouble), 0);
  for (int64_t i = 0; i < sums.size(0); ++i) {
    intervals.push_back({means[i].item<double>(), ends[0][i].item<double>(), ends[1][i].item<double>()});
  }
  return intervals;
}

}  // namespace bilens
