#include "bilens/nn/token_step.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "attention_call.h"
#include "kernels/cpu_kernels.h"
#include "packed.h"
#include "thread_team.h"

namespace bilens {

namespace {

constexpr int64_t kFewestNumbers =
    4096;                         // numbers of weights that a thread reads between two meetings, at least
constexpr int64_t kRowBlock = 4;  // rows that the product's kernel takes together

/// Floats in as many cache lines, so that no two threads write to the same one.
int64_t whole_lines(int64_t count) { return (count + 15) / 16 * 16; }

bool is_plain(const at::Tensor& x) {
  return x.defined() && x.device().is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous();
}

/// Undefined where there are none.
at::Tensor joined(const std::vector<at::Tensor>& biases) {
  return biases.empty() || !biases.front().defined() ? at::Tensor() : at::cat(biases).detach();
}

}  // namespace

struct TokenStep::Context {
  ThreadTeam& team;
  int64_t thread;
  int64_t position;
  const RotaryTables& rotary;
  double epsilon;
  float *normed, *scratch;  // this thread's own

  /// This thread's part of `count`, in whole blocks.
  RowRange part(int64_t count, int64_t block) const {
    const int64_t blocks = (count + block - 1) / block, size = team.size();
    return {std::min(count, blocks * thread / size * block),
            std::min(count, blocks * (thread + 1) / size * block)};
  }

  /// to = W x + b for some rows of W. @param bias may be undefined
  static void product(const at::Tensor& weight, const at::Tensor& bias, const float* x, RowRange rows,
                      float* to) {
    const int64_t width = weight.size(1);
    cpu_kernels().row_product(weight.const_data_ptr<float>() + rows.begin * width, x, to + rows.begin,
                              rows.size(), width);
    if (!bias.defined()) return;
    const auto* b = bias.const_data_ptr<float>();
    for (int64_t i = rows.begin; i < rows.end; ++i) to[i] += b[i];
  }

  /// Into `normed`. @param gain undefined: x as it is
  void norm(const at::Tensor& x, const at::Tensor& gain) {
    const auto* from = x.const_data_ptr<float>();
    if (!gain.defined()) {
      std::copy(from, from + x.size(0), normed);
      return;
    }
    cpu_kernels().rms_norm(from, gain.const_data_ptr<float>(), epsilon, normed, nullptr, 1, x.size(0));
  }

  /// state += norm(W x + b), this thread's rows. @param gain undefined: no norm @param change takes W x + b
  void add(const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& gain, const at::Tensor& x,
           at::Tensor& change, at::Tensor& state) {
    const RowRange rows = part(weight.size(0), kRowBlock);
    auto* by = change.mutable_data_ptr<float>();
    product(weight, bias, x.const_data_ptr<float>(), rows, by);
    if (gain.defined()) {
      team.meet();
      norm(change, gain);
      by = normed;
    }
    auto* h = state.mutable_data_ptr<float>();
    for (int64_t i = rows.begin; i < rows.end; ++i) h[i] += by[i];
    team.meet();
  }
};

std::optional<TokenStep> TokenStep::of(const DecoderStack& stack, int64_t capacity) {
  TokenStep step;
  bool plain = is_plain(stack.norm) && is_plain(stack.head);
  for (size_t i = 0; i < stack.layers.size(); ++i) {
    const DecoderLayer& from = stack.layers[i];
    const Layer layer = {from.attention_norms,
                         from.mlp_norms,
                         as_one(from.qkv),
                         joined(from.qkv_bias),
                         from.o,
                         joined({from.o_bias}),
                         as_one({from.gate, from.up}),
                         joined({from.gate_bias, from.up_bias}),
                         from.down,
                         joined({from.down_bias}),
                         stack.activations[i],
                         from.q_norm,
                         from.k_norm,
                         from.window,
                         from.turning};
    for (const auto* tensor : {&layer.qkv, &layer.o, &layer.gate_up, &layer.down})
      plain = plain && is_plain(*tensor);
    const auto &around = layer.attention_norms, &of_mlp = layer.mlp_norms;
    for (const auto* optional :
         {&around.before, &around.behind, &of_mlp.before, &of_mlp.behind, &layer.qkv_bias, &layer.o_bias,
          &layer.gate_up_bias, &layer.down_bias, &layer.q_norm, &layer.k_norm})
      plain = plain && (!optional->defined() || is_plain(*optional));
    step.layers_.push_back(layer);
  }
  if (!plain || step.layers_.empty()) return std::nullopt;
  step.norm_ = stack.norm, step.head_ = stack.head, step.heads_ = stack.heads, step.epsilon_ = stack.epsilon;
  const Layer& layer = step.layers_.front();
  const int64_t hidden = stack.norm.size(0), both = layer.gate_up.size(0);
  step.state_ = at::empty({hidden}), step.change_ = at::empty({hidden});
  step.qkv_ = at::empty({layer.qkv.size(0)}), step.attended_ = at::empty({layer.o.size(1)});
  step.gate_up_ = at::empty({both}), step.product_ = at::empty({both / 2});
  step.threads_ = std::clamp<int64_t>(layer.o.numel() / kFewestNumbers, 1, at::get_num_threads());
  const int64_t scratch =
      cpu_kernels().attention_scratch(cached_call(stack.heads, 1, capacity, capacity), false);
  step.own_ = at::empty({step.threads_, whole_lines(hidden) + whole_lines(scratch)});
  return step;
}

/// In place, of all of a token's heads together: one thread's work, on which the others wait.
void TokenStep::normalize_projections(const Layer& layer, Context& context) {
  auto* qkv = qkv_.mutable_data_ptr<float>();
  const int64_t queries = layer.q_norm.size(0);
  if (context.thread == 0) {
    for (const auto& [x, gain] : {std::pair(qkv, &layer.q_norm), std::pair(qkv + queries, &layer.k_norm)})
      cpu_kernels().rms_norm(x, gain->const_data_ptr<float>(), epsilon_, x, nullptr, 1, gain->size(0));
  }
  context.team.meet();
}

/// In place, of one key-value head and the query heads that it serves.
void TokenStep::normalize_heads(const Layer& layer, float* qkv, int64_t kv_head) const {
  const int64_t d = heads_.head_dim, group = heads_.heads / heads_.kv_heads;
  const auto norm = [&](float* x, const at::Tensor& gain, int64_t count) {
    cpu_kernels().rms_norm(x, gain.const_data_ptr<float>(), epsilon_, x, nullptr, count, d);
  };
  norm(qkv + kv_head * group * d, layer.q_norm, group);
  norm(qkv + (heads_.heads + kv_head) * d, layer.k_norm, 1);
}

void TokenStep::attention_block(const Layer& layer, LayerCache& cache, Context& context) {
  context.norm(state_, layer.attention_norms.before);
  auto* qkv = qkv_.mutable_data_ptr<float>();
  Context::product(layer.qkv, layer.qkv_bias, context.normed, context.part(layer.qkv.size(0), kRowBlock),
                   qkv);
  context.team.meet();
  const bool normed = layer.q_norm.defined(), each_head = normed && layer.q_norm.size(0) == heads_.head_dim;
  if (normed && !each_head) normalize_projections(layer, context);
  auto call = cached_call(heads_, 1, context.position + 1, cache.keys.size(2));
  call.window = layer.window;
  set_angles(call, context.rotary.of(layer.turning));
  const auto *k = qkv + heads_.heads * heads_.head_dim, *v = k + heads_.kv_heads * heads_.head_dim;
  auto *keys = cache.keys.mutable_data_ptr<float>(), *values = cache.values.mutable_data_ptr<float>();
  const RowRange heads = context.part(heads_.kv_heads, 1);
  for (int64_t head = heads.begin; head < heads.end; ++head) {
    if (each_head) normalize_heads(layer, qkv, head);
    cpu_kernels().extend_cache(call, k, v, keys, values, 0, head);
    cpu_kernels().attention_step(call, qkv, keys, values, attended_.mutable_data_ptr<float>(), 0, head,
                                 context.scratch);
  }
  context.team.meet();
  context.add(layer.o, layer.o_bias, layer.attention_norms.behind, attended_, change_, state_);
}

void TokenStep::mlp_block(const Layer& layer, Context& context) {
  context.norm(state_, layer.mlp_norms.before);
  const int64_t hidden = product_.size(0);
  const RowRange units = context.part(hidden, kRowBlock);
  auto* gate = gate_up_.mutable_data_ptr<float>();
  for (const RowRange rows : {units, RowRange{hidden + units.begin, hidden + units.end}})
    Context::product(layer.gate_up, layer.gate_up_bias, context.normed, rows, gate);
  cpu_kernels().gated_float.forward(layer.activation, gate + units.begin, gate + hidden + units.begin,
                                    product_.mutable_data_ptr<float>() + units.begin,
                                    {1, units.size(), hidden, hidden});
  context.team.meet();
  context.add(layer.down, layer.down_bias, layer.mlp_norms.behind, product_, change_, state_);
}

at::Tensor TokenStep::operator()(const at::Tensor& embedding, std::vector<LayerCache>& cache,
                                 int64_t position, const RotaryTables& rotary) {
  state_.copy_(embedding.squeeze(0));
  auto logits = at::empty({1, head_.size(0)});
  ThreadTeam team(threads_);
  at::parallel_for(0, threads_, 1, [&](int64_t begin, int64_t end) {
    const int64_t thread = team.join(end - begin);
    auto* own = own_.mutable_data_ptr<float>() + thread * own_.size(1);
    Context context = {team, thread, position, rotary, epsilon_, own, own + whole_lines(state_.size(0))};
    for (size_t i = 0; i < layers_.size(); ++i) {
      attention_block(layers_[i], cache[i], context);
      mlp_block(layers_[i], context);
    }
    context.norm(state_, norm_);
    Context::product(head_, {}, context.normed, context.part(head_.size(0), kRowBlock),
                     logits.mutable_data_ptr<float>());
  });
  return logits;
}

}  // namespace bilens
