#include "paper_transformer.h"

#include <ATen/ATen.h>

#include <cmath>
#include <map>
#include <set>

#include "bilens/tensor/range.h"
#include "bilens/tensor/shape.h"
#include "paper_config.h"

namespace bilens {

namespace {

const std::string kRoot = "transformer.";

/// Takes tensors by name, in float32, and knows which were left.
class PaperReader {
 public:
  explicit PaperReader(const Weights& weights) : weights_(weights) {}

  bool has(const std::string& name) const { return weights_.contains(name); }

  at::Tensor take(const std::string& name, at::IntArrayRef shape) {
    const auto tensor = weights_.tensor(name);
    require_shape(tensor, shape, where(name));
    require_finite(tensor, where(name));
    require_range(tensor, at::kFloat, where(name));
    taken_.insert(name);
    return tensor.to(at::kFloat);
  }

  /// Zeros where it is not there.
  at::Tensor take_bias(const std::string& name, int64_t size) {
    return has(name) ? take(name, {size}) : at::zeros({size}, at::kFloat);
  }

  /// What remains is a part of the model that would be lost.
  void require_empty() const {
    for (const auto& [name, info] : weights_.tensors()) {
      if (taken_.count(name) != 0) continue;
      throw Error(ExitCode::kBadInput, {weights_.path().string(), "only tensors that a Llama has a place for",
                                        "also " + name, "The model cannot be written as a Llama."});
    }
  }

  std::string where(const std::string& name) const { return weights_.path().string() + ": " + name; }

 private:
  const Weights& weights_;
  std::set<std::string> taken_;
};

std::string layer_prefix(int64_t layer) { return kRoot + "h." + std::to_string(layer) + "."; }

int64_t count_layers(const Weights& weights) {
  int64_t count = 0;
  while (weights.contains(layer_prefix(count) + "mlp.w.weight")) ++count;
  return count;
}

/// Rows of a name, as it stands in the file.
int64_t rows_of(const Weights& weights, const std::string& name) {
  const auto found = weights.tensors().find(name);
  if (found == weights.tensors().end()) weights.tensor(name);  // throws, with a suggestion
  return found->second.shape.empty() ? 0 : found->second.shape.front();
}

/// @throws Error(kBadInput) without a config.json, or where one lacks a size
PaperTransformerConfig read_sizes(const StoredModel& model) {
  using C = PaperTransformerConfig;
  const auto theirs = read_paper_config<C>(model);
  if (!theirs) {
    throw Error(ExitCode::kBadInput, {model.weights().path().string(), "a config.json beside the weights",
                                      "none", "The weights do not tell n_head and n_ctx."});
  }
  std::vector<Problem> problems;
  for (const auto size : {&C::d_model, &C::d_hidden, &C::n_layer, &C::n_head, &C::n_ctx}) {
    if (theirs.value().*size) continue;
    problems.push_back({key_path(model.where("config.json"), C::fields().name_of(size)), "a value", "none",
                        "The weights do not tell it."});
  }
  if (!problems.empty()) throw Error(ExitCode::kBadInput, problems);
  return *theirs;
}

/// @param where the config.json, for messages
DecoderConfig config_of(const Weights& weights, const PaperTransformerConfig& theirs,
                        const std::string& where) {
  DecoderConfig c;
  c.vocab_size = rows_of(weights, kRoot + "wte.weight");
  c.hidden_size = *theirs.d_model;
  c.intermediate_size = *theirs.d_hidden;
  c.num_hidden_layers = *theirs.n_layer;
  require_as_weights(theirs, &PaperTransformerConfig::n_layer, count_layers(weights), where);
  c.num_attention_heads = *theirs.n_head;
  c.max_position_embeddings = *theirs.n_ctx;
  c.hidden_act = theirs.gate;
  c.rms_norm_eps = 1e-8;
  c.attention_bias = weights.contains(layer_prefix(0) + "attn.qkv.bias");
  c.mlp_bias =
      weights.contains(layer_prefix(0) + "mlp.w.bias") || weights.contains(layer_prefix(0) + "mlp.p.bias");
  const auto in_vocabulary = [&](std::optional<int64_t> id) { return id && *id < c.vocab_size; };
  c.bos_token_id = in_vocabulary(theirs.bos_token_id) ? theirs.bos_token_id : std::nullopt;
  c.eos_token_id.clear();
  if (in_vocabulary(theirs.eos_token_id)) c.eos_token_id = {*theirs.eos_token_id};
  std::vector<Problem> problems;
  c.resolve(where, problems);
  if (!problems.empty()) throw Error(ExitCode::kBadInput, problems);
  return c;
}

/// The gain of a norm; 1 where the version has none. @throws Error for a bias other than 0
at::Tensor take_gain(PaperReader& reader, const std::string& norm, int64_t size) {
  const std::string bias = norm + ".norm.bias", gain = norm + ".norm.weight";
  if (reader.has(bias) && reader.take(bias, {size}).ne(0).any().item<bool>()) {
    throw Error(ExitCode::kBadInput,
                {reader.where(bias), "zeros", "other values",
                 "The norms of a Llama have no bias: the model cannot be written as one."});
  }
  return reader.has(gain) ? reader.take(gain, {size}) : at::ones({size}, at::kFloat);
}

/// Frequencies are stored though they follow from the sizes.
void check_rotary(PaperReader& reader, const std::string& name, const DecoderConfig& c) {
  if (!reader.has(name)) return;
  const auto expected = at::pow(c.rope.theta, -at::arange(0, c.head_dim, 2, at::kDouble) / c.head_dim);
  const auto stored = reader.take(name, {c.head_dim / 2}).to(at::kDouble);
  if (at::allclose(stored, expected, /*rtol=*/1e-2)) return;  // also of bfloat16
  throw Error(ExitCode::kBadInput, {reader.where(name), "frequencies of base 10000", "others", ""});
}

}  // namespace

bool is_paper_transformer(const Weights& weights) {
  return weights.contains(kRoot + "wte.weight") && count_layers(weights) > 0;
}

ForeignDecoder read_paper_transformer(const StoredModel& model) {
  const auto& weights = model.weights();
  const auto theirs = read_sizes(model);
  const auto c = config_of(weights, theirs, model.where("config.json"));
  const int64_t d = c.hidden_size, h = c.intermediate_size;
  const double scale = theirs.scale_attn ? 1 / std::sqrt(2.0 * c.num_hidden_layers) : 1.0;
  PaperReader reader(weights);
  std::map<std::string, at::Tensor> ours;
  ours["model.embed_tokens.weight"] = reader.take(kRoot + "wte.weight", {c.vocab_size, d});
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) {
    const std::string from = layer_prefix(i), to = "model.layers." + std::to_string(i) + ".";
    const auto attention = [&](const std::string& part) { return to + "self_attn." + part; };
    check_rotary(reader, from + "attn.rotary.inv_freq", c);
    ours[to + "input_layernorm.weight"] = take_gain(reader, from + "n1", d);
    ours[to + "post_attention_layernorm.weight"] = take_gain(reader, from + "n2", d);
    const auto qkv = reader.take(from + "attn.qkv.weight", {3 * d, d}).chunk(3);
    const auto o = reader.take(from + "attn.o.weight", {d, d});
    ours[attention("o_proj.weight")] = (o.to(at::kDouble) * scale).to(at::kFloat);
    const auto packed = reader.take(from + "mlp.w.weight", {2 * h, d}).chunk(2);
    ours[to + "mlp.down_proj.weight"] = reader.take(from + "mlp.p.weight", {d, h});
    const char* const parts[] = {"q_proj", "k_proj", "v_proj"};
    for (int j = 0; j < 3; ++j) ours[attention(parts[j]) + ".weight"] = qkv[j];
    ours[to + "mlp.gate_proj.weight"] = packed[0];
    ours[to + "mlp.up_proj.weight"] = packed[1];
    if (c.attention_bias) {
      const auto biases = reader.take_bias(from + "attn.qkv.bias", 3 * d).chunk(3);
      for (int j = 0; j < 3; ++j) ours[attention(parts[j]) + ".bias"] = biases[j];
      ours[attention("o_proj.bias")] = at::zeros({d}, at::kFloat);
    }
    if (c.mlp_bias) {
      const auto biases = reader.take_bias(from + "mlp.w.bias", 2 * h).chunk(2);
      ours[to + "mlp.gate_proj.bias"] = biases[0];
      ours[to + "mlp.up_proj.bias"] = biases[1];
      ours[to + "mlp.down_proj.bias"] = reader.take_bias(from + "mlp.p.bias", d);
    }
  }
  ours["model.norm.weight"] = take_gain(reader, kRoot + "n_f", d);
  ours["lm_head.weight"] = reader.take("lm_head.weight", {c.vocab_size, d});
  reader.require_empty();
  ForeignDecoder decoder{c, {}, {weights}};
  for (const auto& [name, shape] : c.parameter_shapes()) decoder.parameters.emplace_back(name, ours.at(name));
  return decoder;
}

}  // namespace bilens
