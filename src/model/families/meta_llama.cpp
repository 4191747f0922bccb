#include "meta_llama.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <set>

#include "bilens/core/text.h"
#include "bilens/model/decoder_directory.h"
#include "bilens/tensor/shape.h"
#include "meta_config.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr const char* kParams = "params.json";
constexpr const char* kMetaEmbedding = "tok_embeddings.weight";
constexpr const char* kMetaHead = "output.weight";

/// How a tensor lies in the files of a model in parts.
enum class Split { kRows, kColumns, kNone };

struct Row {
  const char *meta, *ours;
  Split split;
};

/// Tensors of each layer: their names behind "layers.N." there and behind "model.layers.N." here.
constexpr Row kLayer[] = {{"attention_norm.weight", "input_layernorm.weight", Split::kNone},
                          {"attention.wq.weight", "self_attn.q_proj.weight", Split::kRows},
                          {"attention.wk.weight", "self_attn.k_proj.weight", Split::kRows},
                          {"attention.wv.weight", "self_attn.v_proj.weight", Split::kRows},
                          {"attention.wo.weight", "self_attn.o_proj.weight", Split::kColumns},
                          {"ffn_norm.weight", "post_attention_layernorm.weight", Split::kNone},
                          {"feed_forward.w1.weight", "mlp.gate_proj.weight", Split::kRows},
                          {"feed_forward.w3.weight", "mlp.up_proj.weight", Split::kRows},
                          {"feed_forward.w2.weight", "mlp.down_proj.weight", Split::kColumns}};

std::string part_name(size_t index) { return format("consolidated.%02zu.pth", index); }

/// consolidated.00.pth and what follows without a gap, or Mistral's consolidated.safetensors.
std::vector<fs::path> parts_in(const fs::path& folder) {
  std::vector<fs::path> parts;
  while (fs::exists(folder / part_name(parts.size()))) parts.push_back(folder / part_name(parts.size()));
  if (parts.empty() && fs::exists(folder / "consolidated.safetensors"))
    parts.push_back(folder / "consolidated.safetensors");
  return parts;
}

bool is_part(const fs::path& file) {
  const std::string name = file.filename().string();
  return name.rfind("consolidated.", 0) == 0 &&
         (file.extension() == ".pth" || file.extension() == ".safetensors");
}

/// A part behind a gap, or none at all.
void require_all_parts(const fs::path& folder, const std::vector<fs::path>& parts) {
  size_t found = 0;
  for (const auto& entry : fs::directory_iterator(folder))
    found += is_part(entry.path()) && entry.path().extension() == ".pth" ? 1 : 0;
  if (!parts.empty() && (found <= parts.size() || parts.front().extension() != ".pth")) return;
  throw Error(ExitCode::kBadInput, {(folder / part_name(parts.size())).string(), "each part of the model",
                                    "none, beside " + std::to_string(found) + " others",
                                    "Put all consolidated.*.pth into one folder."});
}

/// Takes tensors by Meta's names, whole, and knows which were left.
class MetaReader {
 public:
  explicit MetaReader(const MetaFiles& files) : parts_(files.parts) {}

  bool has(const std::string& name) const { return parts_.front().contains(name); }

  /// Sizes as the first part has them.
  std::vector<int64_t> shape(const std::string& name) const {
    const auto found = parts_.front().tensors().find(name);
    if (found == parts_.front().tensors().end()) parts_.front().tensor(name);  // throws, with a suggestion
    return found->second.shape;
  }

  int64_t parts() const { return static_cast<int64_t>(parts_.size()); }

  at::Tensor take(const std::string& name, Split split, at::IntArrayRef whole) {
    auto shape = whole.vec();
    if (split == Split::kRows) shape[0] /= parts();
    if (split == Split::kColumns) shape[1] /= parts();
    std::vector<at::Tensor> found;
    for (const auto& part : parts_) found.push_back(checked(part, name, shape));
    taken_.insert(name);
    if (split != Split::kNone && parts() > 1) {
      auto joined = at::cat(found, split == Split::kRows ? 0 : 1);
      require_shape(joined, whole, where(parts_.front(), name));
      return joined;
    }
    for (size_t i = 1; i < found.size(); ++i) {
      if (at::equal(found[i], found[0])) continue;
      throw Error(ExitCode::kBadInput,
                  {where(parts_[i], name), "the same numbers as in " + parts_[0].path().string(), "others",
                   "The files do not belong together."});
    }
    return found[0];
  }

  /// Looks at a tensor that follows from the rest.
  void pass(const std::string& name) { taken_.insert(name); }

  /// What remains is a part of the model that would be lost.
  void require_empty() const {
    for (const auto& part : parts_) {
      for (const auto& [name, info] : part.tensors()) {
        if (taken_.count(name) != 0) continue;
        throw Error(ExitCode::kBadInput, {part.path().string(), "only tensors that a Llama has a place for",
                                          "also " + name, "The model cannot be written as a Llama."});
      }
    }
  }

  const Weights& first() const { return parts_.front(); }

 private:
  static std::string where(const Weights& part, const std::string& name) {
    return part.path().string() + ": " + name;
  }

  static at::Tensor checked(const Weights& part, const std::string& name, at::IntArrayRef shape) {
    const auto tensor = part.tensor(name);
    require_shape(tensor, shape, where(part, name));
    require_weight_dtype(part.tensors().at(name), where(part, name));
    require_finite(tensor, where(part, name));
    return tensor;
  }

  const std::vector<Weights>& parts_;
  std::set<std::string> taken_;
};

/// How the parts split the embedding: each has whole tokens (Llama 3), or columns of all (Llama 1 and 2).
Split split_of_embedding(const std::vector<int64_t>& shape, int64_t dim) {
  return shape.size() == 2 && shape[1] == dim ? Split::kRows : Split::kColumns;
}

DecoderConfig config_of(const MetaFiles& files, const MetaReader& reader) {
  const auto args = parse_meta_args(files.args, files.where);
  const auto embedding = reader.shape(kMetaEmbedding), gate = reader.shape("layers.0.feed_forward.w1.weight");
  if (embedding.size() != 2 || gate.size() != 2) {
    throw Error(ExitCode::kBadInput, {files.parts.front().path().string(),
                                      "matrices for tok_embeddings and feed_forward.w1", "other shapes", ""});
  }
  const bool whole_tokens = split_of_embedding(embedding, args.dim) == Split::kRows;
  return config_of_meta(args, files.where, embedding[0] * (whole_tokens ? reader.parts() : 1),
                        gate[0] * reader.parts());
}

/// Rotary angles, stored though they follow from the sizes: frequencies, or (llama2.c) cosines and sines by
/// position. Those of scaled angles are stored unscaled.
void check_rotary(MetaReader& reader, const std::string& name, const DecoderConfig& c) {
  const auto expected = at::pow(c.rope.theta, -at::arange(0, c.head_dim, 2, at::kDouble) / c.head_dim);
  const auto stored = reader.first().tensor(name).to(at::kDouble);
  const bool table = !name.ends_with("rope.freqs");
  const bool fits = table ? stored.dim() == 2 && stored.size(0) > 1 && stored.size(1) == c.head_dim / 2
                          : stored.sizes() == at::IntArrayRef{c.head_dim / 2};
  const auto at_one = name.ends_with("sin") ? at::sin(expected) : at::cos(expected);
  const bool same = fits && (table ? at::allclose(stored[1], at_one, /*rtol=*/1e-2, /*atol=*/1e-3)
                                   : at::allclose(stored, expected, /*rtol=*/1e-2));  // also of bfloat16
  if (same) return reader.pass(name);
  throw Error(ExitCode::kBadInput, {reader.first().path().string() + ": " + name,
                                    format("the angles of base %g", c.rope.theta), "others", ""});
}

/// Buffers that scripts save beside the parameters.
void pass_buffers(MetaReader& reader, const DecoderConfig& c) {
  for (const auto& [name, info] : reader.first().tensors()) {
    const bool mask = name.ends_with(".attention.mask"), complex = name == "freqs_cis";
    if (mask || complex) reader.pass(name);
    if (name.ends_with("rope.freqs") || name == "freqs_cos" || name == "freqs_sin")
      check_rotary(reader, name, c);
  }
}

at::ScalarType common_dtype_of(const std::map<std::string, at::Tensor>& tensors) {
  std::vector<at::ScalarType> dtypes;
  for (const auto& item : tensors) dtypes.push_back(item.second.scalar_type());
  return common_dtype(dtypes);
}

}  // namespace

bool is_meta_folder(const fs::path& path) {
  return fs::is_directory(path) && fs::exists(path / kParams) && !parts_in(path).empty() &&
         !has_weights(path);
}

bool has_meta_names(const Weights& weights) {
  return weights.contains(kMetaEmbedding) && weights.contains("layers.0.attention.wq.weight");
}

MetaFiles open_meta_files(const StoredModel& model) {
  const auto& path = model.path();
  MetaFiles files;
  const bool folder = fs::is_directory(path);
  const fs::path beside = folder ? path : path.has_parent_path() ? path.parent_path() : fs::path(".");
  std::vector<fs::path> parts = {path};
  if (folder || is_part(path)) {
    parts = parts_in(beside);
    require_all_parts(beside, parts);
  }
  for (const auto& part : parts) files.parts.push_back(part == path ? model.weights() : Weights(part));
  files.args = files.parts.front().model_args();
  files.where = path.string() + ": model_args";
  if (!files.args.is_null()) return files;
  files.args = model.json(kParams);
  if (files.args.is_null()) {
    throw Error(ExitCode::kBadInput,
                {path.string(), "Meta's params.json beside the weights, or \"model_args\" in them", "neither",
                 "The weights do not tell how many heads there are."});
  }
  files.where = model.where(kParams);
  return files;
}

MetaLlama read_meta_llama(const MetaFiles& files) {
  MetaReader reader(files);
  MetaLlama result{config_of(files, reader), {}};
  auto& c = result.config;
  if (!files.parts.front().model_args().is_null()) c.eos_token_id = {1, 2};  // as config_of_llama2c
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const auto& [name, shape] : c.parameter_shapes()) shapes[name] = shape;
  std::map<std::string, at::Tensor> ours;
  const auto embedding = reader.shape(kMetaEmbedding);
  ours["model.embed_tokens.weight"] = reader.take(
      kMetaEmbedding, split_of_embedding(embedding, c.hidden_size), {c.vocab_size, c.hidden_size});
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) {
    const std::string number = "layers." + std::to_string(i) + ".";
    for (const auto& [meta, name, split] : kLayer) {
      const std::string to = "model." + number + name;
      auto tensor = reader.take(number + meta, split, shapes.at(to));
      if (to.ends_with(".q_proj.weight")) tensor = rotary_rows_to_halves(tensor, c.num_attention_heads);
      if (to.ends_with(".k_proj.weight")) tensor = rotary_rows_to_halves(tensor, c.num_key_value_heads);
      ours[to] = tensor;
    }
  }
  ours["model.norm.weight"] = reader.take("norm.weight", Split::kNone, {c.hidden_size});
  const auto head = reader.has(kMetaHead)
                        ? reader.take(kMetaHead, Split::kRows, {c.vocab_size, c.hidden_size})
                        : at::Tensor();
  c.tie_word_embeddings = !head.defined() || at::equal(head, ours["model.embed_tokens.weight"]);
  if (!c.tie_word_embeddings) ours["lm_head.weight"] = head;
  pass_buffers(reader, c);
  reader.require_empty();
  c.dtype = common_dtype_of(ours);
  for (const auto& [name, shape] : c.parameter_shapes()) result.parameters.emplace_back(name, ours.at(name));
  return result;
}

}  // namespace bilens
