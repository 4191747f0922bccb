#include "bilens/model/rotary_table.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace bilens {

at::Tensor rotary_frequencies(const DecoderConfig& config, int64_t length) {
  const RopeConfig& rope = config.rope;
  const auto d = static_cast<double>(config.head_dim);
  double theta = rope.theta;
  if (rope.scaling == RopeScaling::kDynamic) {
    const auto trained = static_cast<double>(config.max_position_embeddings);
    const double longest = std::max(static_cast<double>(length), trained);
    theta *= std::pow(rope.factor * longest / trained - (rope.factor - 1), d / (d - 2));
  }
  // As transformers: powers in float32, of exponents in float32.
  const auto exponents = at::arange(0, config.head_dim, 2, at::kLong).to(at::kFloat) / d;
  auto frequencies = at::pow(theta, exponents).reciprocal();
  if (rope.scaling == RopeScaling::kLinear) frequencies = frequencies / rope.factor;
  if (rope.scaling == RopeScaling::kLlama3) {
    const auto original = static_cast<double>(rope.original_max_position_embeddings);
    const auto wavelengths = 2 * std::numbers::pi / frequencies;
    // 0 for long wavelengths, which are stretched, 1 for short ones, which are kept
    const auto kept =
        ((original / wavelengths - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor))
            .clamp(0, 1);
    frequencies = (1 - kept) * frequencies / rope.factor + kept * frequencies;
  }
  return frequencies;
}

RotaryTable make_rotary_table(const DecoderConfig& config, int64_t length, at::Device device) {
  const auto angles = at::outer(at::arange(length, at::kFloat), rotary_frequencies(config, length));
  return {angles.cos().to(device), angles.sin().to(device)};
}

}  // namespace bilens
