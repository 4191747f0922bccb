#include "bilens/model/generation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "bilens/core/stop.h"
#include "bilens/core/stopwatch.h"

namespace bilens {

Continuation continue_tokens(Decoder& model, const std::vector<int32_t>& prompt, int64_t max_tokens,
                             const SamplerConfig& sampler, const std::function<void(int32_t)>& show) {
  const at::NoGradGuard no_grad;
  const auto device = model.parameters().front().second.device();
  const auto& config = model.config();
  const auto length = static_cast<int64_t>(prompt.size());
  const int64_t capacity = std::min(length + max_tokens, config.max_position_embeddings);
  auto cache = model.make_cache(1, capacity);
  const auto logits_after = [&](const std::vector<int32_t>& tokens) {
    auto ids = at::empty({1, static_cast<int64_t>(tokens.size())}, at::kLong);
    std::copy(tokens.begin(), tokens.end(), ids.mutable_data_ptr<int64_t>());
    return model.next_logits(ids.to(device), cache).squeeze(0);
  };
  Continuation result;
  auto logits = logits_after(prompt).cpu();  // waits for the prompt's pass, which the clock does not count
  const Stopwatch watch;
  for (int64_t position = length; position < capacity; ++position) {
    if (stop_requested()) throw Stopped{};
    const auto token = static_cast<int32_t>(sample_token(logits, sampler, position));
    const auto& ends = config.eos_token_id;
    result.ended = std::find(ends.begin(), ends.end(), token) != ends.end();
    if (result.ended) break;
    result.tokens.push_back(token);
    show(token);
    if (position + 1 < capacity) logits = logits_after({token});
  }
  result.seconds = watch.seconds();
  return result;
}

}  // namespace bilens
