#include <ATen/ATen.h>

#include <map>
#include <set>

#include "bilens/model/decoder_directory.h"
#include "bilens/tensor/shape.h"
#include "families.h"
#include "lit_config.h"

namespace bilens::family {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFile = "lit_model.pth";
constexpr const char* kEmbedding = "transformer.wte.weight";
constexpr const char* kFirstBlock = "transformer.h.0.";

bool is_lit_folder(const fs::path& path) {
  return fs::is_directory(path) && fs::is_regular_file(path / kFile) && !has_weights(path) &&
         (fs::is_regular_file(path / "model_config.yaml") || fs::is_regular_file(path / "lit_config.json"));
}

bool has_lit_names(const Weights& weights) {
  const std::string block = kFirstBlock;
  return weights.contains(kEmbedding) && weights.contains(block + "norm_1.weight") &&
         (weights.contains(block + "attn.qkv.weight") || weights.contains(block + "attn.attn.weight"));
}

/// Takes tensors by LitGPT's names, and knows which were left.
class LitReader {
 public:
  explicit LitReader(const Weights& weights) : weights_(weights) {}

  at::Tensor take(const std::string& name, at::IntArrayRef shape) {
    const std::string where = weights_.path().string() + ": " + name;
    const auto tensor = weights_.tensor(name);
    require_shape(tensor, shape, where);
    require_weight_dtype(weights_.tensors().at(name), where);
    require_finite(tensor, where);
    taken_.insert(name);
    return tensor;
  }

  /// Under the first of two names, or the second, that of earlier versions.
  at::Tensor take(const std::string& name, const std::string& earlier, at::IntArrayRef shape) {
    return take(weights_.contains(earlier) ? earlier : name, shape);
  }

  /// What remains is a part of the model that would be lost.
  void require_empty() const {
    for (const auto& [name, info] : weights_.tensors()) {
      if (taken_.count(name) != 0) continue;
      throw Error(ExitCode::kBadInput,
                  {weights_.path().string(), "only the tensors of its config", "also " + name,
                   "The config and the weights do not belong together."});
    }
  }

 private:
  const Weights& weights_;
  std::set<std::string> taken_;
};

struct Projections {
  at::Tensor q, k, v;
};

/// Rows of queries, keys and values, one above the other.
Projections split_rows(const at::Tensor& qkv, const DecoderConfig& c) {
  const int64_t q = c.num_attention_heads * c.head_dim, kv = c.num_key_value_heads * c.head_dim;
  const auto parts = qkv.split_with_sizes({q, kv, kv});
  return {parts[0], parts[1], parts[2]};
}

/// Those of earlier versions: the queries of a group, its key and its value, group by group.
Projections split_groups(const at::Tensor& qkv, const DecoderConfig& c) {
  const int64_t groups = c.num_key_value_heads, queries = c.num_attention_heads / groups;
  const auto grouped = qkv.reshape({groups, queries + 2, c.head_dim, -1});
  const auto rows = [&](int64_t first, int64_t count) {
    auto shape = qkv.sizes().vec();
    shape[0] = groups * count * c.head_dim;
    return grouped.narrow(1, first, count).reshape(shape);
  };
  return {rows(0, queries), rows(queries, 1), rows(queries + 1, 1)};
}

void take_layer(LitReader& reader, const Weights& weights, const DecoderConfig& c, int64_t layer,
                std::map<std::string, at::Tensor>& ours) {
  const std::string from = "transformer.h." + std::to_string(layer) + ".";
  const std::string to = "model.layers." + std::to_string(layer) + ".", attention = to + "self_attn.";
  const int64_t d = c.hidden_size, h = c.intermediate_size, q = c.num_attention_heads * c.head_dim;
  const int64_t rows = q + 2 * c.num_key_value_heads * c.head_dim;
  const bool grouped = weights.contains(from + "attn.attn.weight");
  const std::string qkv = from + (grouped ? "attn.attn." : "attn.qkv.");
  const auto put = [&](const std::string& kind, const at::Tensor& tensor) {
    const auto parts = grouped ? split_groups(tensor, c) : split_rows(tensor, c);
    ours[attention + "q_proj." + kind] = parts.q;
    ours[attention + "k_proj." + kind] = parts.k;
    ours[attention + "v_proj." + kind] = parts.v;
  };
  ours[to + "input_layernorm.weight"] = reader.take(from + "norm_1.weight", {d});
  ours[to + "post_attention_layernorm.weight"] = reader.take(from + "norm_2.weight", {d});
  put("weight", reader.take(qkv + "weight", {rows, d}));
  ours[attention + "o_proj.weight"] = reader.take(from + "attn.proj.weight", {d, q});
  if (c.attention_bias) put("bias", reader.take(qkv + "bias", {rows}));
  if (c.attention_bias && c.output_bias)
    ours[attention + "o_proj.bias"] = reader.take(from + "attn.proj.bias", {d});
  if (c.query_key_norms == QueryKeyNorms::kHeads) {
    ours[attention + "q_norm.weight"] = reader.take(from + "attn.norm_q.weight", {c.head_dim});
    ours[attention + "k_norm.weight"] = reader.take(from + "attn.norm_k.weight", {c.head_dim});
  }
  const std::string mlp = from + "mlp.";
  const std::tuple<const char*, const char*, const char*, int64_t, int64_t> matrices[] = {
      {"gate_proj.", "fc_1.", "swiglu.w1.", h, d},
      {"up_proj.", "fc_2.", "swiglu.w2.", h, d},
      {"down_proj.", "proj.", "swiglu.w3.", d, h}};
  for (const auto& [name, now, earlier, out, in] : matrices) {
    const std::string key = to + "mlp." + name;
    ours[key + "weight"] = reader.take(mlp + now + "weight", mlp + earlier + "weight", {out, in});
    if (c.mlp_bias) ours[key + "bias"] = reader.take(mlp + now + "bias", mlp + earlier + "bias", {out});
  }
}

/// What names the tokens that begin and end a text, where LitGPT copied it from the hub.
Json tokens_beside(const StoredModel& model) {
  for (const char* name : {"config.json", "generation_config.json"}) {
    const auto file = model.file(name);
    const Json json = file.empty() ? Json() : read_json(file, ExitCode::kBadInput);
    if (json.is_object() && json.contains("eos_token_id")) return json;
  }
  return nullptr;
}

ForeignDecoder read_weights(const StoredModel& model, const Weights& weights) {
  if (model.file("model_config.yaml").empty() && model.file("lit_config.json").empty()) {
    throw Error(ExitCode::kBadInput,
                {model.path().string(), "LitGPT's model_config.yaml, or lit_config.json, beside its weights",
                 "neither", "The weights do not tell how many heads there are."});
  }
  std::string where;
  const Json json = read_lit_config(model, where);
  const auto embedding = weights.tensor(kEmbedding);
  const int64_t vocabulary = embedding.dim() == 2 ? embedding.size(0) : 0;
  auto c = config_of_lit(json, where, vocabulary, tokens_beside(model));
  LitReader reader(weights);
  std::map<std::string, at::Tensor> ours;
  ours["model.embed_tokens.weight"] = reader.take(kEmbedding, {c.vocab_size, c.hidden_size});
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) take_layer(reader, weights, c, i, ours);
  ours["model.norm.weight"] = reader.take("transformer.ln_f.weight", {c.hidden_size});
  const auto head = reader.take("lm_head.weight", {c.vocab_size, c.hidden_size});
  c.tie_word_embeddings = at::equal(head, ours["model.embed_tokens.weight"]);
  if (!c.tie_word_embeddings) ours["lm_head.weight"] = head;
  reader.require_empty();
  std::vector<at::ScalarType> dtypes;
  for (const auto& item : ours) dtypes.push_back(item.second.scalar_type());
  c.dtype = common_dtype(dtypes);
  ForeignDecoder decoder{c, {}, {weights}};
  for (const auto& [name, shape] : c.parameter_shapes()) decoder.parameters.emplace_back(name, ours.at(name));
  return decoder;
}

std::optional<ForeignDecoder> read_lit(const StoredModel& model) {
  const bool folder = !model.in_memory() && is_lit_folder(model.path());
  if (!folder && !has_lit_names(model.weights())) return std::nullopt;
  return read_weights(model, folder ? Weights(model.path() / kFile) : model.weights());
}

std::string name_folder(const StoredModel& model) {
  if (!has_lit_names(model.weights())) return "";
  return "Put LitGPT's model_config.yaml beside its lit_model.pth, and name the folder.";
}

}  // namespace

const Family& lit_gpt() {
  static const Family family = {
      .name = "lit-gpt",
      .norms = MlpNorms{MlpNorms::Kind::kRms, "norm_2", false, false, "", ""},
      .forms = {{"mlp.swiglu.w1.weight", "mlp.swiglu.w2.weight", "mlp.swiglu.w3.weight", "mlp."}},
      .told_by_names = true,
      .gate_by_names = "silu",
      .is_folder = is_lit_folder,
      .file_of_folder = kFile,
      .read_decoder = read_lit,
      .way_on = name_folder};
  return family;
}

}  // namespace bilens::family
