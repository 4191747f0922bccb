#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <vector>

#include "bilens/io/safetensors.h"
#include "bilens/model/decoder_config.h"
#include "bilens/nn/attention.h"
#include "bilens/nn/distillation.h"
#include "bilens/nn/token_step.h"

namespace bilens {

/// Replaces an MLP's output: called with the layer, the MLP's input after its norm and its own output, both
/// [batch, tokens, hidden_size]; what it returns, of the same shape, is added to the residual stream, where a
/// norm stands behind the MLP through that.
using MlpHook = std::function<at::Tensor(int64_t layer, const at::Tensor& input, const at::Tensor& output)>;

/// How one forward pass is run.
struct ForwardOptions {
  /// Place of the first token of each token's document, int64 [batch, tokens] on the CPU: attention stays
  /// inside documents and positions count from there. Undefined: one document a row.
  at::Tensor document_starts;
  bool checkpoint_layers = false;  // computes the inside of each layer again for its gradients
  MlpHook mlp_hook;
  /// Where given, takes num_hidden_layers + 1 states [batch, tokens, hidden_size]: the input of each layer
  /// and, last, what final_states returns.
  std::vector<at::Tensor>* states = nullptr;
};

/// What sampling keeps of the tokens so far: keys and values of each layer, in place for `capacity` tokens.
struct KeyValueCache {
  std::vector<LayerCache> layers;
  int64_t tokens = 0, capacity = 0;
  at::Tensor ids;                 // of these tokens, where the angles may change with their number
  std::optional<TokenStep> step;  // of the model that made it, where that is possible
};

/// Place of each token's document start for rows that begin a document at every `first` token, int64
/// [batch, tokens]: ForwardOptions::document_starts for stories that each begin with BOS.
at::Tensor document_starts(const at::Tensor& tokens, int64_t first);

/// The Llama decoder (arXiv 2302.13971; Hugging Face's LlamaForCausalLM):
///   h ← E[tokens];  each layer: h ← h + Attention(norm(h)), h ← h + MLP(norm(h));  logits = H norm(h)
/// with hidden_act "linear" each MLP is bilinear; and its relatives, which differ as DecoderConfig says:
/// norms in front, behind or both, caps, scales, windows, angles. Parameters by Hugging Face's names.
class Decoder {
 public:
  /// New weights as in transformers: normal with initializer_range, biases 0, gains 1; float32 on `device`.
  Decoder(const DecoderConfig& config, at::Device device, uint64_t seed);

  /// The weights as they are, one tensor for each of config.parameter_shapes(), kept, not copied.
  Decoder(const DecoderConfig& config, std::map<std::string, at::Tensor> weights);

  /// Tensors for each of config.parameter_shapes(), not filled; those that read the same input lie together,
  /// so that they are one product (nn/linear.h). @param dtype_of a tensor's name, the same for these
  static std::map<std::string, at::Tensor> allocate(
      const DecoderConfig& config, at::Device device,
      const std::function<at::ScalarType(const std::string&)>& dtype_of = [](const auto&) {
        return at::kFloat;
      });

  const DecoderConfig& config() const { return config_; }
  /// In the order of config().parameter_shapes(); for the optimizer and for saving.
  const NamedTensors& parameters() const { return parameters_; }
  /// Whether gradients are taken; set for all parameters.
  void require_gradients(bool wanted);

  /// The dtype that products are computed in, float32 or bfloat16, whatever the weights are stored in;
  /// the weights' own at first. Float32 weights with bfloat16 products are mixed precision.
  void compute_in(at::ScalarType dtype) { dtype_ = dtype; }

  /// Weights and activation of a layer as they are now.
  const DecoderLayer& layer(int64_t index) const { return layers_.at(static_cast<size_t>(index)); }
  Activation activation(int64_t layer) const {
    return {config_.gate_of(layer), betas_.at(static_cast<size_t>(layer))};
  }

  /// β of each layer's SiLU_β, at first 1; towards 0 the MLPs become bilinear, f(z) → z/2. Only for
  /// hidden_act "silu"; layers that are bilinear stay so.
  void set_betas(std::vector<double> betas);

  /// Computes the rotary angles of sequences up to this length; from then on forward passes of them may run
  /// on several threads at once.
  void prepare_positions(int64_t positions);

  /// The residual stream behind the last norm, [batch, tokens, hidden_size].
  /// @param tokens int64 [batch, tokens]
  /// @throws Error(kBadInput) for a token beyond the vocabulary
  at::Tensor final_states(const at::Tensor& tokens, const ForwardOptions& options = {});

  /// A forward pass step by step, for work on one layer at a time: the residual stream at the start, [batch,
  /// tokens, hidden_size], and behind the attention of a layer whose input is `h`. What follows in the layer
  /// is h ← h + mlp_change(mlp_output(mlp_input(h))).
  at::Tensor embed(const at::Tensor& tokens) const;
  at::Tensor add_attention(int64_t layer, const at::Tensor& h, const at::Tensor& document_starts = {});
  /// [..., hidden_size]: through the norm in front of a layer's MLP, the MLP, and the norm behind it, where
  /// these are.
  at::Tensor mlp_input(int64_t layer, const at::Tensor& h) const;
  at::Tensor mlp_output(int64_t layer, const at::Tensor& x) const;
  at::Tensor mlp_change(int64_t layer, const at::Tensor& output) const;
  /// Gain of the last norm, [hidden_size].
  at::Tensor final_gain() const { return gain(norm_); }
  /// Gain of the norm behind a layer's MLP, [hidden_size]; undefined where there is none.
  at::Tensor gain_behind_mlp(int64_t layer) const;

  /// [..., hidden_size] → float32 [..., vocab_size]
  at::Tensor logits(const at::Tensor& states);
  /// The logits in front of the model's cap, where it has one (final_logit_softcapping).
  at::Tensor uncapped_logits(const at::Tensor& states);

  /// Σ −log p(target | tokens before it) in nats, float32 scalar, targets below 0 not counted; never holds
  /// all logits. Divide by the number of targets for the mean.
  /// @param tokens, targets int64 [batch, tokens]
  at::Tensor loss_sum(const at::Tensor& tokens, const at::Tensor& targets,
                      const ForwardOptions& options = {});
  /// loss_sum() from the residual stream behind the last layer. @param h [batch, tokens, hidden_size]
  at::Tensor loss_of_stream(const at::Tensor& h, const at::Tensor& targets) const;

  /// loss_sum() with a teacher of the same vocabulary beside the data (nn/distillation.h), which sees what
  /// this model sees.
  at::Tensor distillation_sum(const at::Tensor& tokens, const at::Tensor& targets, Decoder& teacher,
                              const DistillationWeights& weights, const ForwardOptions& options = {});

  /// The terms of loss_sum, float32 [batch, tokens]. No gradients.
  at::Tensor losses(const at::Tensor& tokens, const at::Tensor& targets, const ForwardOptions& options = {});

  /// For this model as it is: its weights may change only in place, while the cache is in use.
  KeyValueCache make_cache(int64_t batch, int64_t capacity) const;

  /// Logits of the token that follows, float32 [batch, vocab_size], of tokens that continue those in the
  /// cache. No gradients. With dynamic rotary scaling angles are those of the cache's capacity; with longrope
  /// the cache is computed anew where the tokens exceed the original length.
  /// @param tokens int64 [batch, new tokens]
  /// @throws std::invalid_argument when the cache is too small
  at::Tensor next_logits(const at::Tensor& tokens, KeyValueCache& cache);

 private:
  using Attend = std::function<at::Tensor(const at::Tensor& qkv, const DecoderLayer& layer)>;
  using LayerFunction = std::function<at::Tensor(const DecoderLayer&, const at::Tensor&)>;

  void bind(std::map<std::string, at::Tensor> weights);
  DecoderLayer bind_layer(int64_t index, const std::map<std::string, at::Tensor>& weights) const;
  at::Tensor computed(const at::Tensor& weight) const;
  std::vector<at::Tensor> computed(const std::vector<at::Tensor>& weights) const;
  /// Among the tokens of a forward pass, on the device and in the dtype of `options`.
  Attend causal(int64_t length, const at::Tensor& document_starts, const at::TensorOptions& options);
  at::Tensor attention_block(const DecoderLayer& layer, const at::Tensor& h, const Attend& attend) const;
  at::Tensor mlp_block(const DecoderLayer& layer, int64_t index, const at::Tensor& h,
                       const MlpHook& hook) const;
  at::Tensor mlp_of(const DecoderLayer& layer, int64_t index, const at::Tensor& x) const;
  static at::Tensor checkpointed(DecoderLayer layer, const at::Tensor& h, const LayerFunction& run);
  /// What a norm multiplies with, of its stored weight; undefined for undefined.
  at::Tensor gain(const at::Tensor& weight) const;
  at::Tensor normed(const at::Tensor& h, const at::Tensor& weight) const;
  AttentionHeads heads_of(const DecoderLayer& layer) const;
  OutputHead head() const;
  /// Whether a sequence of so many tokens has angles of its own.
  bool is_long(int64_t length) const;
  /// For sequences of `length` tokens. @param room the longest that will be asked for
  const RotaryTables& rotary(int64_t length, int64_t room);
  DecoderStack stack() const;

  DecoderConfig config_;
  NamedTensors parameters_;
  at::ScalarType dtype_ = at::kFloat;
  std::vector<double> betas_;
  at::Tensor embedding_, norm_, head_;
  std::vector<DecoderLayer> layers_;
  struct Angles {
    RotaryTables tables;
    int64_t positions = 0;
  };
  Angles angles_[2];  // of sequences that are not long, and of long ones
};

/// Whether a parameter of this name belongs to an MLP.
bool is_mlp_weight(const std::string& name);

/// Makes a silu model whose betas are all 0 a bilinear one of the same function: the ½ that is left of SiLU_0
/// goes into gate_proj (and its bias), in place. The result shares the weights.
Decoder fold_half(Decoder model);

}  // namespace bilens
