#include "bilens/model/rotary_table.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace bilens {

namespace {

/// The share to which each of `pairs` pairs of d turned numbers keeps its frequency: 1 where it turns
/// beta_fast times and more in the original length, 0 where it turns beta_slow times and less, and between
/// them by the pair's number.
at::Tensor kept_by_yarn(const RopeConfig& rope, double d, int64_t pairs) {
  const auto original = static_cast<double>(rope.original_max_position_embeddings);
  const auto pair_that_turns = [&](double times) {
    return d * std::log(original / (times * 2 * std::numbers::pi)) / (2 * std::log(rope.theta));
  };
  const double low = std::max(std::floor(pair_that_turns(rope.beta_fast)), 0.0);
  double high = std::min(std::ceil(pair_that_turns(rope.beta_slow)), d - 1);
  if (low == high) high += 0.001;  // as transformers
  return 1 - ((at::arange(pairs, at::kFloat) - low) / (high - low)).clamp(0, 1);
}

}  // namespace

at::Tensor rotary_frequencies(const DecoderConfig& config, const RopeConfig& rope, int64_t length) {
  const auto d = static_cast<double>(config.rotary_dim());
  double theta = rope.theta;
  if (rope.scaling == RopeScaling::kDynamic) {
    const auto trained = static_cast<double>(config.max_position_embeddings);
    const double longest = std::max(static_cast<double>(length), trained);
    theta *= std::pow(rope.factor * longest / trained - (rope.factor - 1), d / (d - 2));
  }
  // As transformers: powers in float32, of exponents in float32.
  const auto exponents = at::arange(0, config.rotary_dim(), 2, at::kLong).to(at::kFloat) / d;
  auto wavelengths = at::pow(theta, exponents);  // divided by 2π
  if (rope.scaling == RopeScaling::kLongRope) {
    const auto& factors =
        length > rope.original_max_position_embeddings ? rope.long_factor : rope.short_factor;
    wavelengths = at::tensor(factors, at::kFloat) * wavelengths;
  }
  auto frequencies = wavelengths.reciprocal();
  if (rope.scaling == RopeScaling::kLinear) frequencies = frequencies / rope.factor;
  if (rope.scaling == RopeScaling::kLlama3) {
    const auto original = static_cast<double>(rope.original_max_position_embeddings);
    // Python's number / tensor is number * (1 / tensor), which rounds twice.
    wavelengths = frequencies.reciprocal() * (2 * std::numbers::pi);
    // 0 for long wavelengths, which are stretched, 1 for short ones, which are kept
    const auto kept = ((wavelengths.reciprocal() * original - rope.low_freq_factor) /
                       (rope.high_freq_factor - rope.low_freq_factor))
                          .clamp(0, 1);
    frequencies = (1 - kept) * frequencies / rope.factor + kept * frequencies;
  }
  if (rope.scaling == RopeScaling::kYarn) {
    const auto kept = kept_by_yarn(rope, d, frequencies.size(0));
    frequencies = (rope.factor * wavelengths).reciprocal() * (1 - kept) + frequencies * kept;
  }
  return frequencies;
}

RotaryTable make_rotary_table(const DecoderConfig& config, const RopeConfig& rope, int64_t length,
                              int64_t positions, at::Device device) {
  const auto frequencies = rotary_frequencies(config, rope, length);
  const auto angles = at::outer(at::arange(positions, at::kFloat), frequencies);
  const double factor = attention_factor(rope);
  const auto grown = [&](const at::Tensor& x) { return (factor == 1 ? x : x * factor).to(device); };
  return {grown(angles.cos()), grown(angles.sin())};
}

}  // namespace bilens
