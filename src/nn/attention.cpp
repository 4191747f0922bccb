#include "bilens/nn/attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "attention_call.h"
#include "bilens/nn/rms_norm.h"
#include "bilens/nn/soft_cap.h"

namespace bilens {

AttentionCall packed_call(const AttentionHeads& h, int64_t tokens) {
  const int64_t d = h.head_dim, width = (h.heads + 2 * h.kv_heads) * d;
  AttentionCall call = {};
  call.queries = call.keys = tokens;
  call.heads = h.heads, call.kv_heads = h.kv_heads, call.head_dim = d, call.window = h.window;
  call.scale = static_cast<float>(h.score_scale());
  call.soft_cap = static_cast<float>(h.soft_cap);
  call.q_layout = call.kv_layout = {tokens * width, width, d};
  call.out_layout = {tokens * h.heads * d, h.heads * d, d};
  call.rotate_keys = true;
  return call;
}

AttentionCall cached_call(const AttentionHeads& h, int64_t tokens, int64_t keys, int64_t capacity) {
  auto call = packed_call(h, tokens);
  call.keys = keys;
  call.kv_layout = {h.kv_heads * capacity * h.head_dim, h.head_dim, capacity * h.head_dim};
  call.rotate_keys = false;
  return call;
}

void set_angles(AttentionCall& call, const RotaryTable& rotary) {
  call.cosine = rotary.cosine.const_data_ptr<float>();
  call.sine = rotary.sine.const_data_ptr<float>();
  call.rotary_dim = 2 * rotary.cosine.size(1);
}

double AttentionHeads::score_scale() const {
  return scale > 0 ? scale : 1 / std::sqrt(static_cast<double>(head_dim));
}

const RotaryTable& RotaryTables::of(Turning turning) const {
  return turning == Turning::kNone ? none : turning == Turning::kGlobal ? global : local;
}

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

bool has_kernel(at::Device device, at::ScalarType dtype) { return device.is_cpu() && dtype == at::kFloat; }
bool has_kernel(const at::Tensor& x) { return has_kernel(x.device(), x.scalar_type()); }

/// For every sequence and key-value head, on all threads.
template <class Body>
void for_heads(const AttentionCall& call, int64_t batch, bool backward, const Body& body) {
  const int64_t size = cpu_kernels().attention_scratch(call, backward);
  at::parallel_for(0, batch * call.kv_heads, 1, [&](int64_t begin, int64_t end) {
    // A tensor is aligned to 64 bytes, so that no vector lies across two cache lines.
    const auto scratch = at::empty({size}, at::kFloat);
    for (int64_t i = begin; i < end; ++i) {
      body(i / call.kv_heads, i % call.kv_heads, scratch.mutable_data_ptr<float>());
    }
  });
}

AttentionCall training_call(const at::Tensor& qkv, const AttentionHeads& h, const RotaryTable& rotary,
                            const at::Tensor& starts) {
  auto call = packed_call(h, qkv.size(1));
  call.starts = starts.defined() ? starts.const_data_ptr<int64_t>() : nullptr;
  set_angles(call, rotary);
  return call;
}

struct CausalAttention : torch::autograd::Function<CausalAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& qkv, const AttentionHeads& h,
                            const at::Tensor& cosine, const at::Tensor& sine,
                            const std::optional<at::Tensor>& given) {
    const at::Tensor starts = given.value_or(at::Tensor());
    const int64_t batch = qkv.size(0), tokens = qkv.size(1);
    auto out = at::empty({batch, tokens, h.heads * h.head_dim}, qkv.options());
    auto log_sums = at::empty({batch, h.heads, tokens}, qkv.options());
    const auto call = training_call(qkv, h, {cosine, sine}, starts);
    const float* q = qkv.const_data_ptr<float>();
    const float *k = q + h.heads * h.head_dim, *v = k + h.kv_heads * h.head_dim;
    auto *to = out.mutable_data_ptr<float>(), *logs = log_sums.mutable_data_ptr<float>();
    for_heads(call, batch, false, [&](int64_t b, int64_t head, float* scratch) {
      cpu_kernels().attention(call, q, k, v, to, logs, b, head, scratch);
    });
    context->save_for_backward({qkv, out, log_sums, cosine, sine, starts});
    context->saved_data["heads"] = std::vector<int64_t>{h.heads, h.kv_heads, h.head_dim, h.window};
    context->saved_data["scores"] = std::vector<double>{h.scale, h.soft_cap};
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto sizes = context->saved_data["heads"].toIntVector();
    const auto scores = context->saved_data["scores"].toDoubleVector();
    const auto &qkv = saved[0], &out = saved[1], &log_sums = saved[2];
    const auto call = training_call(qkv, {sizes[0], sizes[1], sizes[2], sizes[3], scores[0], scores[1]},
                                    {saved[3], saved[4]}, saved[5]);
    const auto dy = grads[0].contiguous();
    auto dqkv = at::empty_like(qkv);
    const int64_t k = sizes[0] * sizes[2], v = k + sizes[1] * sizes[2];  // where keys and values begin
    const auto *x = qkv.const_data_ptr<float>(), *o = out.const_data_ptr<float>(),
               *logs = log_sums.const_data_ptr<float>(), *dys = dy.const_data_ptr<float>();
    auto* dx = dqkv.mutable_data_ptr<float>();
    for_heads(call, qkv.size(0), true, [&](int64_t b, int64_t head, float* scratch) {
      cpu_kernels().attention_backward(call, dys, x, x + k, x + v, o, logs, dx, dx + k, dx + v, b, head,
                                       scratch);
    });
    variable_list result(5);
    result[0] = dqkv;
    return result;
  }
};

/// x [batch, heads, tokens, d] turned; the angles [tokens, r/2] or [batch, 1, tokens, r/2].
at::Tensor turn(const at::Tensor& x, const RotaryTable& angles) {
  const auto &c = angles.cosine, &s = angles.sine;
  const int64_t half = c.size(-1), rest = x.size(-1) - 2 * half;
  const auto parts = x.split_with_sizes({half, half, rest}, -1);
  return at::cat({parts[0] * c - parts[1] * s, parts[1] * c + parts[0] * s, parts[2]}, -1);
}

struct Split {
  at::Tensor q, k, v;  // [batch, heads, tokens, head_dim]
};

Split split(const at::Tensor& qkv, const AttentionHeads& h) {
  const auto parts = qkv.unflatten(-1, {-1, h.head_dim})
                         .transpose(1, 2)
                         .split_with_sizes({h.heads, h.kv_heads, h.kv_heads}, 1);
  return {parts[0], parts[1], parts[2]};
}

at::Tensor join_heads(const at::Tensor& out) { return out.transpose(1, 2).flatten(2); }

/// softmax(c tanh(QKᵀ scale / c)) of what is seen, by a mask of numbers or of truth values. @param causal
/// with as many queries as keys
at::Tensor capped_weights(const at::Tensor& q, const at::Tensor& k, const at::Tensor& mask, bool causal,
                          const AttentionHeads& h) {
  auto scores = soft_capped(q.matmul(k.mT()) * h.score_scale(), h.soft_cap);
  const auto none = -std::numeric_limits<double>::infinity();
  if (causal) {
    const auto seen = at::ones({q.size(2), k.size(2)}, q.options().dtype(at::kBool)).tril();
    scores = scores.masked_fill(seen.logical_not(), none);
  } else if (mask.defined()) {
    scores = mask.scalar_type() == at::kBool ? scores.masked_fill(mask.logical_not(), none) : scores + mask;
  }
  return scores.softmax(-1);
}

/// Attention of q to k and v, all [batch, heads, tokens, head_dim]. k and v have as many heads as q, or
/// fewer, which then serve several. Among LibTorch's kernels that keep no scores in memory, only the one in
/// 16 bits without a mask lets heads serve several: for the others they are repeated. None of them knows a
/// cap of the scores, which then stand in memory.
/// @return [batch, tokens, heads head_dim]
at::Tensor attend(const at::Tensor& q, at::Tensor k, at::Tensor v, const at::Tensor& mask, bool causal,
                  const AttentionHeads& h) {
  const int64_t times = q.size(1) / k.size(1);
  const bool capped = h.soft_cap > 0;
  const bool shared =
      times > 1 && q.is_cuda() && q.scalar_type() == at::kBFloat16 && !mask.defined() && !capped;
  if (times > 1 && !shared) {
    k = k.repeat_interleave(times, 1, q.size(1));
    v = v.repeat_interleave(times, 1, q.size(1));
  }
  if (capped) return join_heads(capped_weights(q, k, mask, causal, h).matmul(v));
  return join_heads(at::scaled_dot_product_attention(
      q, k, v, mask.defined() ? std::optional<at::Tensor>(mask) : std::nullopt, 0.0, causal, h.score_scale(),
      shared));
}

/// The mask of token_positions without the keys that lie before a query's window.
at::Tensor within_window(const at::Tensor& mask, int64_t window, const at::Tensor& qkv) {
  const int64_t tokens = qkv.size(1);
  if (window == 0 || window >= tokens) return mask;
  const auto options = qkv.options().requires_grad(false);
  const auto least = at::full({tokens, tokens}, -std::numeric_limits<double>::infinity(), options);
  const auto before = least.tril(-window);  // 0 above, −∞ below
  return mask.defined() ? mask + before : before + least.triu(1);
}

}  // namespace

RotaryTable without_turning(const RotaryTable& like) {
  return {at::ones_like(like.cosine), at::zeros_like(like.sine)};
}

TokenPositions token_positions(const RotaryTable& rotary, int64_t tokens, const at::Tensor& starts,
                               const at::TensorOptions& options) {
  const auto device = options.device();
  const auto dtype = c10::typeMetaToScalarType(options.dtype());
  if (has_kernel(device, dtype)) return {rotary, starts, {}};
  const auto take = [&](const std::function<at::Tensor(const at::Tensor&)>& some) {
    return RotaryTable{some(rotary.cosine).to(dtype), some(rotary.sine).to(dtype)};
  };
  if (!starts.defined()) return {take([&](const auto& table) { return table.narrow(0, 0, tokens); }), {}, {}};
  const auto begins = starts.to(device), place = at::arange(tokens, begins.options());
  const auto positions = place - begins;
  const auto angles = take([&](const auto& table) { return table.index({positions}).unsqueeze(1); });
  const auto seen =
      (place.unsqueeze(0) <= place.unsqueeze(1)).logical_and(place >= begins.unsqueeze(-1)).unsqueeze(1);
  const auto mask = at::zeros(seen.sizes(), options.requires_grad(false))
                        .masked_fill_(seen.logical_not(), -std::numeric_limits<double>::infinity());
  return {angles, {}, mask};
}

at::Tensor normalize_heads(const at::Tensor& qkv, const AttentionHeads& h, const at::Tensor& q_gain,
                           const at::Tensor& k_gain, double epsilon) {
  const int64_t d = h.head_dim;
  const auto parts = qkv.split_with_sizes({h.heads * d, h.kv_heads * d, h.kv_heads * d}, -1);
  const auto normed = [&](const at::Tensor& x, const at::Tensor& gain) {
    return rms_norm(x.unflatten(-1, {-1, gain.size(0)}), gain, epsilon).flatten(-2);
  };
  return at::cat({normed(parts[0], q_gain), normed(parts[1], k_gain), parts[2]}, -1);
}

at::Tensor causal_attention(const at::Tensor& qkv, const AttentionHeads& h, const TokenPositions& positions) {
  const auto& [rotary, starts, mask] = positions;
  if (has_kernel(qkv)) {
    return CausalAttention::apply(qkv.contiguous(), h, rotary.cosine, rotary.sine,
                                  starts.defined() ? std::optional<at::Tensor>(starts) : std::nullopt);
  }
  const auto [q, k, v] = split(qkv, h);
  const auto seen = within_window(mask, h.window, qkv);
  return attend(turn(q, rotary), turn(k, rotary), v, seen, !seen.defined(), h);
}

at::Tensor cached_attention(const at::Tensor& qkv, const AttentionHeads& h, const RotaryTable& rotary,
                            LayerCache& cache, int64_t past) {
  const int64_t batch = qkv.size(0), tokens = qkv.size(1), all = past + tokens;
  if (!has_kernel(qkv)) {
    const auto of_these = [&](const at::Tensor& table) {
      return table.narrow(0, past, tokens).to(qkv.scalar_type());
    };
    const RotaryTable angles = {of_these(rotary.cosine), of_these(rotary.sine)};
    const auto [q, k, v] = split(qkv, h);
    cache.keys.narrow(2, past, tokens).copy_(turn(k, angles));
    cache.values.narrow(2, past, tokens).copy_(v);
    const int64_t first = h.window > 0 ? std::max<int64_t>(0, past + 1 - h.window) : 0, count = all - first;
    at::Tensor mask;  // one token sees all that is left before it
    if (tokens > 1) {
      mask = at::ones({tokens, count}, qkv.options().dtype(at::kBool)).tril(past - first);
      if (h.window > 0) mask = mask.triu(past - first + 1 - h.window);
    }
    return attend(turn(q, angles), cache.keys.narrow(2, first, count), cache.values.narrow(2, first, count),
                  mask, false, h);
  }
  const auto x = qkv.contiguous();
  auto call = cached_call(h, tokens, all, cache.keys.size(2));
  set_angles(call, rotary);
  auto out = at::empty({batch, tokens, h.heads * h.head_dim}, x.options());
  const float* q = x.const_data_ptr<float>();
  const float *k = q + h.heads * h.head_dim, *v = k + h.kv_heads * h.head_dim;
  auto *keys = cache.keys.mutable_data_ptr<float>(), *values = cache.values.mutable_data_ptr<float>(),
       *to = out.mutable_data_ptr<float>();
  for_heads(call, batch, false, [&](int64_t b, int64_t head, float* scratch) {
    cpu_kernels().extend_cache(call, k, v, keys, values, b, head);
    cpu_kernels().attention(call, q, keys, values, to, nullptr, b, head, scratch);
  });
  return out;
}

}  // namespace bilens
