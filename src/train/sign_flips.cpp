#include "bilens/train/sign_flips.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "bilens/tensor/random.h"

namespace bilens {

namespace {

constexpr int64_t kMostExact = 16;  // documents: 65,536 flips
constexpr int64_t kDrawnFlips = 9999;
constexpr int64_t kSumsAtOnce = int64_t{1} << 23;
constexpr double kFlipRounding = 1e-12;  // of the sum of sizes, so that a tie counts whatever its rounding

/// All signs [2^(n−1), n] with the first one positive: the others mirror them.
at::Tensor all_signs(int64_t documents) {
  const auto numbers = at::arange(int64_t{1} << (documents - 1), at::kLong).unsqueeze(1);
  const auto places = at::arange(documents, at::kLong);
  const auto bits = numbers.mul(2).bitwise_right_shift(places).bitwise_and(1);
  return 1 - 2 * bits.to(at::kDouble);
}

at::Tensor drawn_signs(int64_t count, int64_t documents, at::Generator generator) {
  return 1 - 2 * at::randint(2, {count, documents}, generator, at::dtype(at::kDouble));
}

/// How many of the flips have a |sum| of at least `own` − rounding: [figures].
at::Tensor count_as_large(const at::Tensor& signs, const at::Tensor& sums, const at::Tensor& least) {
  return sums.mm(signs.t()).abs().lt(least.unsqueeze(1)).logical_not().sum(1).to(at::kDouble);
}

at::Tensor count_drawn(const at::Tensor& sums, const at::Tensor& least) {
  const auto generator = make_generator(at::kCPU, derive_seed(0, "sign flips"));
  const int64_t rows = std::max(sums.size(0), sums.size(1)),
                at_once = std::max<int64_t>(1, kSumsAtOnce / rows);
  auto counts = at::zeros({sums.size(0)}, at::kDouble);
  for (int64_t first = 0; first < kDrawnFlips; first += at_once) {
    const auto signs = drawn_signs(std::min(at_once, kDrawnFlips - first), sums.size(1), generator);
    counts += count_as_large(signs, sums, least);
  }
  return counts;
}

at::Tensor count_exactly(const at::Tensor& sums, const at::Tensor& least) {
  const auto signs = all_signs(sums.size(1));
  std::vector<at::Tensor> counts;
  const int64_t at_once = std::max<int64_t>(1, kSumsAtOnce / signs.size(0));
  for (int64_t first = 0; first < sums.size(0); first += at_once) {
    const int64_t count = std::min(at_once, sums.size(0) - first);
    counts.push_back(count_as_large(signs, sums.narrow(0, first, count), least.narrow(0, first, count)));
  }
  return at::cat(counts);
}

}  // namespace

SignFlips flip_signs(const at::Tensor& sums) {
  const int64_t documents = sums.size(1);
  if (documents < 2) return {0, std::vector<double>(static_cast<size_t>(sums.size(0)), NAN)};
  const bool exact = documents <= kMostExact;
  const auto least = sums.sum(1).abs() - kFlipRounding * sums.abs().sum(1);
  const auto found = (exact ? count_exactly(sums, least) / static_cast<double>(int64_t{1} << (documents - 1))
                            : (count_drawn(sums, least) + 1) / static_cast<double>(kDrawnFlips + 1))
                         .contiguous();
  const double* first = found.const_data_ptr<double>();
  return {exact ? int64_t{1} << documents : kDrawnFlips, {first, first + found.numel()}};
}

double smallest_flip_p(int64_t documents) {
  if (documents < 2) return NAN;
  if (documents <= kMostExact) return std::ldexp(1.0, static_cast<int>(1 - documents));
  return 1.0 / static_cast<double>(kDrawnFlips + 1);
}

}  // namespace bilens
