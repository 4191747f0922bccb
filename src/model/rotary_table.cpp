#include "bilens/model/rotary_table.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace bilens {

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
  return frequencies;
}

RotaryTable make_rotary_table(const DecoderConfig& config, const RopeConfig& rope, int64_t length,
                              int64_t positions, at::Device device) {
  const auto frequencies = rotary_frequencies(config, rope, length);
  const auto angles = at::outer(at::arange(positions, at::kFloat), frequencies);
  const double factor = rope.attention_factor;
  const auto grown = [&](const at::Tensor& x) { return (factor == 1 ? x : x * factor).to(device); };
  return {grown(angles.cos()), grown(angles.sin())};
}

}  // namespace bilens
