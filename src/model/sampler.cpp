#include "bilens/model/sampler.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "bilens/tensor/random.h"

namespace bilens {

namespace {

/// Ids by falling weight, equal ones by rising id; `count` of them are put in order.
std::vector<int64_t> likeliest(const std::vector<float>& weights, size_t count) {
  std::vector<int64_t> ids(weights.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto before = [&](int64_t a, int64_t b) {
    return weights[a] != weights[b] ? weights[a] > weights[b] : a < b;
  };
  std::partial_sort(ids.begin(), ids.begin() + static_cast<int64_t>(count), ids.end(), before);
  ids.resize(count);
  return ids;
}

double total_of(const std::vector<float>& weights, const std::vector<int64_t>& ids) {
  return std::accumulate(ids.begin(), ids.end(), 0.0,
                         [&](double sum, int64_t id) { return sum + weights[id]; });
}

/// The ids that may be drawn: top_k, then of these the fewest that reach top_p.
std::vector<int64_t> candidates(const std::vector<float>& weights, const SamplerConfig& config) {
  const bool cut = config.top_k > 0 && config.top_k < static_cast<int64_t>(weights.size());
  if (!cut && config.top_p >= 1.0) {
    std::vector<int64_t> all(weights.size());
    std::iota(all.begin(), all.end(), 0);
    return all;
  }
  auto ids = likeliest(weights, cut ? static_cast<size_t>(config.top_k) : weights.size());
  const double needed = config.top_p * total_of(weights, ids);
  double sum = 0;
  size_t kept = 0;
  while (kept < ids.size() && (kept == 0 || sum < needed)) sum += weights[ids[kept++]];
  ids.resize(kept);
  return ids;
}

Error not_finite(const std::string& found) {
  return Error(ExitCode::kBadInput,
               {"logits", "finite numbers", found, "Check the model's weights, or use float32."});
}

}  // namespace

const FieldTable<SamplerConfig>& SamplerConfig::fields() {
  using C = SamplerConfig;
  static const FieldTable<C> fields =
      FieldTable<C>("How the next token is chosen.")
          .number("temperature", &C::temperature, "Divides the logits; 0: always the likeliest token.",
                  at_least(0.0))
          .integer("top_k", &C::top_k, "Draw from this many likeliest tokens; 0: from all.", at_least(0))
          .number("top_p", &C::top_p, "Draw from the fewest likeliest tokens that have this probability.",
                  {0.0, 1.0, true})
          .integer("seed", &C::seed, "Seed of all draws.", at_least(0));
  return fields;
}

int64_t sample_token(const at::Tensor& logits, const SamplerConfig& config, int64_t position) {
  const auto values = logits.detach().to(at::kCPU, at::kFloat).contiguous();
  const float* data = values.const_data_ptr<float>();
  const float* end = data + values.numel();
  if (std::any_of(data, end, [](float x) { return std::isnan(x); })) throw not_finite("NaN");
  const float* largest = std::max_element(data, end);
  if (!std::isfinite(*largest)) throw not_finite("an infinite one");
  if (config.temperature == 0.0) return largest - data;

  std::vector<float> weights(data, end);  // e^((x − max)/temperature)
  for (float& x : weights) x = static_cast<float>(std::exp((double{x} - *largest) / config.temperature));
  const auto ids = candidates(weights, config);
  const uint64_t bits =
      derive_seed(static_cast<uint64_t>(config.seed), "sample", static_cast<uint64_t>(position));
  double left = std::ldexp(static_cast<double>(bits >> 11), -53) * total_of(weights, ids);
  for (const int64_t id : ids) {
    left -= weights[id];
    if (left < 0) return id;
  }
  return *std::max_element(ids.begin(), ids.end(),
                           [&](int64_t a, int64_t b) { return weights[a] < weights[b]; });  // rounding
}

}  // namespace bilens
