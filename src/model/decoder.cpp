#include "bilens/model/decoder.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "bilens/model/rotary_table.h"
#include "bilens/nn/cross_entropy.h"
#include "bilens/nn/gated_mlp.h"
#include "bilens/nn/linear.h"
#include "bilens/nn/recompute.h"
#include "bilens/nn/rms_norm.h"
#include "bilens/nn/soft_cap.h"
#include "bilens/tensor/random.h"

namespace bilens {

namespace {

/// Matrices that read the same input, whose rows lie together.
const std::vector<std::vector<std::string>>& packs() {
  static const std::vector<std::vector<std::string>> names = {
      {"self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"},
      {"mlp.gate_proj.weight", "mlp.up_proj.weight"}};
  return names;
}

std::string layer_name(int64_t layer, const std::string& name) {
  return "model.layers." + std::to_string(layer) + "." + name;
}

void check_tokens(const at::Tensor& tokens, int64_t vocabulary) {
  if (!tokens.device().is_cpu()) return;
  const auto all = tokens.contiguous();
  const auto* first = all.const_data_ptr<int64_t>();
  const auto* found = std::find_if(first, first + all.numel(),
                                   [&](int64_t token) { return token < 0 || token >= vocabulary; });
  if (found == first + all.numel()) return;
  throw Error(ExitCode::kBadInput, {"tokens", "numbers from 0 to " + std::to_string(vocabulary - 1),
                                    std::to_string(*found), "Data and model have different tokenizers."});
}

/// Tokens that are no document's first go back to the last that is.
at::Tensor running_start(const at::Tensor& is_first) {
  const auto places = at::arange(is_first.size(1), is_first.options().dtype(at::kLong));
  return std::get<0>((is_first * places).cummax(1));
}

}  // namespace

at::Tensor document_starts(const at::Tensor& tokens, int64_t first) {
  return running_start(tokens.to(at::kCPU).eq(first)).contiguous();
}

Decoder::Decoder(const DecoderConfig& config, at::Device device, uint64_t seed) : config_(config) {
  auto weights = allocate(config, at::kCPU);
  const auto generator = make_generator(at::kCPU, seed);
  for (const auto& [name, shape] : config.parameter_shapes()) {
    auto& weight = weights.at(name);
    if (shape.size() == 2) {
      weight.normal_(0, config.initializer_range, generator);
    } else {
      weight.fill_(name.ends_with(".bias") || config.one_plus_gains ? 0 : 1);
    }
  }
  if (!device.is_cpu()) {
    auto there = allocate(config, device);
    for (auto& [name, weight] : there) weight.copy_(weights.at(name));
    weights = std::move(there);
  }
  bind(std::move(weights));
}

Decoder::Decoder(const DecoderConfig& config, std::map<std::string, at::Tensor> weights) : config_(config) {
  bind(std::move(weights));
}

std::map<std::string, at::Tensor> Decoder::allocate(
    const DecoderConfig& config, at::Device device,
    const std::function<at::ScalarType(const std::string&)>& dtype_of) {
  const auto options_of = [&](const std::string& name) { return at::device(device).dtype(dtype_of(name)); };
  std::map<std::string, at::Tensor> weights;
  const auto shapes = config.parameter_shapes();
  const std::map<std::string, std::vector<int64_t>> shape_of(shapes.begin(), shapes.end());
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    for (const auto& pack : packs()) {
      std::vector<int64_t> rows;
      for (const auto& name : pack) rows.push_back(shape_of.at(layer_name(layer, name))[0]);
      const auto parts = packed_rows(rows, config.hidden_size, options_of(layer_name(layer, pack[0])));
      for (size_t i = 0; i < pack.size(); ++i) weights[layer_name(layer, pack[i])] = parts[i].detach();
    }
  }
  for (const auto& [name, shape] : shapes) {
    if (weights.count(name) == 0) weights[name] = at::empty(shape, options_of(name));
  }
  return weights;
}

void Decoder::bind(std::map<std::string, at::Tensor> weights) {
  for (const auto& [name, shape] : config_.parameter_shapes()) {
    if (weights.count(name) == 0 || weights.at(name).sizes() != shape) {
      throw std::invalid_argument("Decoder: no tensor of the right shape for " + name);
    }
    parameters_.emplace_back(name, weights.at(name));
  }
  embedding_ = weights.at("model.embed_tokens.weight");
  norm_ = weights.at("model.norm.weight");
  head_ = config_.tie_word_embeddings ? embedding_ : weights.at("lm_head.weight");
  dtype_ = embedding_.scalar_type();
  betas_.assign(static_cast<size_t>(config_.num_hidden_layers), 1.0);
  for (int64_t i = 0; i < config_.num_hidden_layers; ++i) layers_.push_back(bind_layer(i, weights));
}

DecoderLayer Decoder::bind_layer(int64_t index, const std::map<std::string, at::Tensor>& weights) const {
  const auto weight = [&](const std::string& name) { return weights.at(layer_name(index, name)); };
  const auto norm = [&](const std::string& name) {
    return name.empty() ? at::Tensor() : weight(name + ".weight");
  };
  const auto names = config_.norm_names();
  DecoderLayer layer;
  layer.attention_norms = {norm(names.before_attention), norm(names.behind_attention)};
  layer.mlp_norms = {norm(names.before_mlp), norm(names.behind_mlp)};
  for (const char* name : {"q_proj", "k_proj", "v_proj"}) {
    const std::string projection = "self_attn." + std::string(name);
    layer.qkv.push_back(weight(projection + ".weight"));
    if (config_.attention_bias) layer.qkv_bias.push_back(weight(projection + ".bias"));
  }
  layer.o = weight("self_attn.o_proj.weight");
  if (config_.attention_bias && config_.output_bias) layer.o_bias = weight("self_attn.o_proj.bias");
  if (config_.query_key_norms != QueryKeyNorms::kNone) {
    layer.q_norm = weight("self_attn.q_norm.weight");
    layer.k_norm = weight("self_attn.k_norm.weight");
  }
  layer.window = config_.window_of(index);
  layer.turning = config_.turning_of(index);
  layer.gate = weight("mlp.gate_proj.weight");
  layer.up = weight("mlp.up_proj.weight");
  layer.down = weight("mlp.down_proj.weight");
  if (config_.mlp_bias) {
    layer.gate_bias = weight("mlp.gate_proj.bias");
    layer.up_bias = weight("mlp.up_proj.bias");
    layer.down_bias = weight("mlp.down_proj.bias");
  }
  return layer;
}

at::Tensor Decoder::checkpointed(DecoderLayer layer, const at::Tensor& h, const LayerFunction& run) {
  std::vector<at::Tensor> inputs = {h};
  for (const auto* tensor : layer.tensors()) inputs.push_back(*tensor);
  return recompute(
      [layer, run](const std::vector<at::Tensor>& given) mutable {
        const auto places = layer.tensors();
        for (size_t i = 0; i < places.size(); ++i) *places[i] = given[i + 1];
        return run(layer, given[0]);
      },
      inputs);
}

void Decoder::require_gradients(bool wanted) {
  for (auto& [name, parameter] : parameters_) parameter.requires_grad_(wanted);
}

void Decoder::set_betas(std::vector<double> betas) {
  if (config_.hidden_act != Gate::kSilu || betas.size() != layers_.size())
    throw std::invalid_argument("Decoder: betas are for silu, one a layer");
  betas_ = std::move(betas);
}

at::Tensor Decoder::computed(const at::Tensor& weight) const {
  const bool differs = weight.defined() && weight.scalar_type() != dtype_;
  return differs ? weight.to(dtype_) : weight;
}

std::vector<at::Tensor> Decoder::computed(const std::vector<at::Tensor>& weights) const {
  std::vector<at::Tensor> result;
  for (const auto& weight : weights) result.push_back(computed(weight));
  return result;
}

at::Tensor Decoder::gain(const at::Tensor& weight) const {
  if (!weight.defined() || !config_.one_plus_gains) return weight;
  return 1 + (weight.scalar_type() == at::kDouble ? weight : weight.to(at::kFloat));
}

at::Tensor Decoder::normed(const at::Tensor& h, const at::Tensor& weight) const {
  return weight.defined() ? rms_norm(h, gain(weight), config_.rms_norm_eps) : h;
}

AttentionHeads Decoder::heads_of(const DecoderLayer& layer) const {
  auto heads = config_.heads();
  heads.window = layer.window;
  return heads;
}

OutputHead Decoder::head() const { return {computed(head_), config_.final_logit_softcapping.value_or(0)}; }

bool Decoder::is_long(int64_t length) const {
  return config_.rope.scaling == RopeScaling::kLongRope &&
         length > config_.rope.original_max_position_embeddings;
}

void Decoder::prepare_positions(int64_t positions) {
  rotary(positions, positions);
  if (is_long(positions)) rotary(1, positions);
}

const RotaryTables& Decoder::rotary(int64_t length, int64_t room) {
  // Dynamic angles depend on the length beyond the trained one; elsewhere a longer table serves as well.
  constexpr int64_t kMadeAtOnce = 65536;
  const bool dynamic = config_.rope.scaling == RopeScaling::kDynamic;
  const int64_t trained = config_.max_position_embeddings;
  const int64_t positions = std::max(std::max(length, room), trained > kMadeAtOnce ? 0 : trained);
  auto& [tables, made] = angles_[is_long(length) ? 1 : 0];
  if (made >= positions && !(dynamic && made != positions)) return tables;
  const auto device = embedding_.device();
  const int64_t of_length = dynamic ? positions : length;
  tables.global = make_rotary_table(config_, config_.rope, of_length, positions, device);
  tables.none = without_turning(tables.global);
  if (config_.local_rope)
    tables.local = make_rotary_table(config_, *config_.local_rope, of_length, positions, device);
  made = positions;
  return tables;
}

at::Tensor Decoder::embed(const at::Tensor& tokens) const {
  check_tokens(tokens, config_.vocab_size);
  auto found = at::embedding(embedding_, tokens);
  if (config_.scales_embedding) {
    const auto scale = at::scalar_tensor(std::sqrt(static_cast<double>(config_.hidden_size)), at::kFloat);
    found = found * scale.to(found.options().requires_grad(false));
  }
  return found.to(dtype_);
}

at::Tensor Decoder::attention_block(const DecoderLayer& layer, const at::Tensor& h,
                                    const Attend& attend) const {
  const auto x = normed(h, layer.attention_norms.before);
  auto qkv = linear(x, computed(layer.qkv), computed(layer.qkv_bias));
  if (layer.q_norm.defined())
    qkv = normalize_heads(qkv, config_.heads(), gain(layer.q_norm), gain(layer.k_norm), config_.rms_norm_eps);
  const auto out = attend(qkv, layer);
  const auto o_bias =
      layer.o_bias.defined() ? std::vector<at::Tensor>{computed(layer.o_bias)} : std::vector<at::Tensor>{};
  return h + normed(linear(out, {computed(layer.o)}, o_bias), layer.attention_norms.behind);
}

Decoder::Attend Decoder::causal(int64_t length, const at::Tensor& document_starts,
                                const at::TensorOptions& options) {
  const auto& tables = rotary(length, length);
  std::map<Turning, TokenPositions> positions;
  for (const auto& layer : layers_) {
    if (positions.count(layer.turning) == 0)
      positions[layer.turning] = token_positions(tables.of(layer.turning), length, document_starts, options);
  }
  return [this, positions](const at::Tensor& qkv, const DecoderLayer& layer) {
    return causal_attention(qkv, heads_of(layer), positions.at(layer.turning));
  };
}

at::Tensor Decoder::add_attention(int64_t layer, const at::Tensor& h, const at::Tensor& document_starts) {
  return attention_block(layers_.at(static_cast<size_t>(layer)), h,
                         causal(h.size(1), document_starts, h.options()));
}

at::Tensor Decoder::mlp_input(int64_t layer, const at::Tensor& h) const {
  return normed(h, this->layer(layer).mlp_norms.before);
}

at::Tensor Decoder::mlp_change(int64_t layer, const at::Tensor& output) const {
  return normed(output, this->layer(layer).mlp_norms.behind);
}

at::Tensor Decoder::gain_behind_mlp(int64_t layer) const { return gain(this->layer(layer).mlp_norms.behind); }

at::Tensor Decoder::mlp_output(int64_t layer, const at::Tensor& x) const {
  return mlp_of(this->layer(layer), layer, x);
}

at::Tensor Decoder::mlp_of(const DecoderLayer& layer, int64_t index, const at::Tensor& x) const {
  return gated_mlp(x,
                   {computed(layer.gate), computed(layer.up), computed(layer.down), computed(layer.gate_bias),
                    computed(layer.up_bias), computed(layer.down_bias)},
                   activation(index));
}

at::Tensor Decoder::mlp_block(const DecoderLayer& layer, int64_t index, const at::Tensor& h,
                              const MlpHook& hook) const {
  const auto x = normed(h, layer.mlp_norms.before);
  const auto y = mlp_of(layer, index, x);
  return h + normed(hook ? hook(index, x, y) : y, layer.mlp_norms.behind);
}

at::Tensor Decoder::final_states(const at::Tensor& tokens, const ForwardOptions& options) {
  auto h = embed(tokens);
  const auto attend = causal(tokens.size(1), options.document_starts, h.options());
  if (options.states != nullptr) options.states->clear();
  for (int64_t i = 0; i < config_.num_hidden_layers; ++i) {
    if (options.states != nullptr) options.states->push_back(h);
    const auto run = [this, i, attend, hook = options.mlp_hook](const DecoderLayer& layer,
                                                                const at::Tensor& x) {
      return mlp_block(layer, i, attention_block(layer, x, attend), hook);
    };
    h = options.checkpoint_layers ? checkpointed(layers_[i], h, run) : run(layers_[i], h);
  }
  h = normed(h, norm_);
  if (options.states != nullptr) options.states->push_back(h);
  return h;
}

at::Tensor Decoder::uncapped_logits(const at::Tensor& states) {
  return bilens::linear(states, {computed(head_)}).to(at::kFloat);  // not at::linear
}

at::Tensor Decoder::logits(const at::Tensor& states) {
  return soft_capped(uncapped_logits(states), config_.final_logit_softcapping.value_or(0));
}

at::Tensor Decoder::loss_sum(const at::Tensor& tokens, const at::Tensor& targets,
                             const ForwardOptions& options) {
  return cross_entropy_sum(final_states(tokens, options).flatten(0, 1), head(), targets.flatten());
}

at::Tensor Decoder::loss_of_stream(const at::Tensor& h, const at::Tensor& targets) const {
  return cross_entropy_sum(normed(h, norm_).flatten(0, 1), head(), targets.flatten());
}

at::Tensor Decoder::distillation_sum(const at::Tensor& tokens, const at::Tensor& targets, Decoder& teacher,
                                     const DistillationWeights& weights, const ForwardOptions& options) {
  std::vector<at::Tensor> states, taught;  // held where they are asked for alone
  auto followed = options;
  ForwardOptions plain;
  plain.document_starts = options.document_starts;
  if (weights.states != 0) followed.states = &states, plain.states = &taught;
  at::Tensor teacher_x;
  {
    const at::NoGradGuard no_grad;
    teacher_x = teacher.final_states(tokens, plain).flatten(0, 1);
  }
  const auto x = final_states(tokens, followed).flatten(0, 1);
  const auto loss =
      bilens::distillation_sum(x, head(), teacher_x, teacher.head(), targets.flatten(), weights);
  if (weights.states == 0) return loss;
  const auto outputs = [](const std::vector<at::Tensor>& all) {  // of the layers, without the embedding
    return std::vector<at::Tensor>(all.begin() + 1, all.end());
  };
  return loss + weights.states * state_error_sum(outputs(states), outputs(taught));
}

at::Tensor Decoder::losses(const at::Tensor& tokens, const at::Tensor& targets,
                           const ForwardOptions& options) {
  const at::NoGradGuard no_grad;
  return cross_entropies(final_states(tokens, options).flatten(0, 1), head(), targets.flatten())
      .view(tokens.sizes());
}

DecoderStack Decoder::stack() const {
  DecoderStack stack = {layers_, {}, gain(norm_), head_, config_.heads(), config_.rms_norm_eps};
  for (auto& layer : stack.layers) {
    for (auto* norm : {&layer.attention_norms.before, &layer.attention_norms.behind, &layer.mlp_norms.before,
                       &layer.mlp_norms.behind, &layer.q_norm, &layer.k_norm})
      if (norm->defined()) *norm = gain(*norm).detach();
  }
  for (int64_t i = 0; i < config_.num_hidden_layers; ++i) stack.activations.push_back(activation(i));
  return stack;
}

KeyValueCache Decoder::make_cache(int64_t batch, int64_t capacity) const {
  KeyValueCache cache;
  cache.capacity = capacity;
  const std::vector<int64_t> shape = {batch, config_.num_key_value_heads, capacity, config_.head_dim};
  const auto options = embedding_.options().dtype(dtype_).requires_grad(false);
  for (int64_t i = 0; i < config_.num_hidden_layers; ++i) {
    cache.layers.push_back({at::empty(shape, options), at::empty(shape, options)});
  }
  if (batch == 1 && dtype_ == at::kFloat) cache.step = TokenStep::of(stack(), capacity);
  return cache;
}

at::Tensor Decoder::next_logits(const at::Tensor& tokens, KeyValueCache& cache) {
  const int64_t past = cache.tokens, all = past + tokens.size(1);
  if (all > cache.capacity) throw std::invalid_argument("Decoder: the key-value cache is full");
  if (config_.rope.scaling == RopeScaling::kLongRope) {
    cache.ids = past == 0 ? tokens : at::cat({cache.ids, tokens}, 1);
    if (past > 0 && is_long(all) && !is_long(past)) {
      cache.tokens = 0;
      return next_logits(cache.ids, cache);
    }
  }
  const RotaryTables& angles =
      rotary(all, cache.capacity);  // kept, so made before what follows is for inference
  const c10::InferenceMode inference;
  auto h = embed(tokens);
  cache.tokens = all;
  const auto capped = [&](const at::Tensor& logits) {
    return soft_capped(logits, config_.final_logit_softcapping.value_or(0));
  };
  if (cache.step && tokens.size(1) == 1)
    return capped((*cache.step)(h.select(1, 0), cache.layers, past, angles));
  for (int64_t i = 0; i < config_.num_hidden_layers; ++i) {
    const auto attend = [&](const at::Tensor& qkv, const DecoderLayer& layer) {
      return cached_attention(qkv, heads_of(layer), angles.of(layer.turning), cache.layers[i], past);
    };
    h = mlp_block(layers_[i], i, attention_block(layers_[i], h, attend), {});
  }
  return logits(normed(h.select(1, -1), norm_));
}

bool is_mlp_weight(const std::string& name) { return name.find(".mlp.") != std::string::npos; }

Decoder fold_half(Decoder model) {
  const at::NoGradGuard no_grad;
  auto config = model.config();
  std::map<std::string, at::Tensor> weights(model.parameters().begin(), model.parameters().end());
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    if (config.gate_of(layer) == Gate::kNone) continue;
    for (const char* part : {"weight", "bias"}) {
      const auto found = weights.find(layer_name(layer, std::string("mlp.gate_proj.") + part));
      if (found != weights.end()) found->second.mul_(0.5);
    }
  }
  config.set_gates({Gate::kNone});
  return Decoder(config, std::move(weights));
}

}  // namespace bilens
