#include "bilens/model/decoder_directory.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <functional>
#include <set>

#include "bilens/core/files.h"
#include "bilens/io/sharded_safetensors.h"
#include "bilens/model/family.h"
#include "bilens/model/generation_config.h"
#include "bilens/tensor/range.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr const char* kHead = "lm_head.weight";

/// Tensors that old files carry and that follow from the rest, a tied head is looked at; and those of a
/// model's other parts.
bool is_redundant(const std::string& name, const DecoderConfig& config) {
  for (const auto& part : family_of_type(config.type)->other_parts)
    if (name.starts_with(part)) return true;
  return name.ends_with(".rotary_emb.inv_freq") || (config.tie_word_embeddings && name == kHead);
}

/// Where tie_word_embeddings stands, in words behind the file's name.
std::string place_of_key(const DecoderConfig& config) {
  const bool may_be_part = !family_of_type(config.type)->part_of.empty();
  return may_be_part ? ", beside text_config where it has one" : "";
}

/// Checks a head that stands beside the embedding it is said to be. transformers 5 keeps one that differs,
/// earlier versions leave it out: two models. @throws Error(kBadInput) where it differs
void require_tied(const Weights& weights, const DecoderConfig& config) {
  const auto head = weights.tensor(kHead), embedding = weights.tensor(kEmbedding);
  const auto dtype = common_dtype({head.scalar_type(), embedding.scalar_type()});
  if (head.sizes() == embedding.sizes() && at::equal(head.to(dtype), embedding.to(dtype))) return;
  throw Error(ExitCode::kBadInput,
              {weights.path().string() + ": " + kHead,
               "what model.embed_tokens.weight holds, because tie_word_embeddings is true", "other values",
               "If this head is meant, set tie_word_embeddings to false in config.json" +
                   place_of_key(config) + "; else remove it from the weights."});
}

/// @throws Error that names the key which asks for a head, where there is none
void require_head(const Weights& weights, const DecoderConfig& config) {
  if (config.tie_word_embeddings || weights.contains(kHead)) return;
  try {
    weights.tensor(kHead);
  } catch (const Error& error) {
    auto problem = error.problems().front();
    problem.fix += " If the head is the embedding, set tie_word_embeddings to true in config.json" +
                   place_of_key(config) + ".";
    throw Error(error.code(), problem);
  }
}

/// Each parameter by its name, in the order of config.parameter_shapes(): a view of the stored tensor that it
/// is, or is a part of.
void each_parameter(const Weights& weights, const DecoderConfig& config,
                    const std::function<void(const std::string&, const at::Tensor&)>& use) {
  const auto shapes = config.parameter_shapes();
  const std::map<std::string, std::vector<int64_t>> shape_of(shapes.begin(), shapes.end());
  for (const auto& [stored, shape] : config.stored_shapes()) {
    const auto tensor = weights.tensor(stored);
    int64_t first = 0;
    for (const auto& part : config.parts_of(stored)) {
      const int64_t rows = shape_of.at(part)[0];
      use(part, tensor.narrow(0, first, rows));
      first += rows;
    }
  }
}

/// What a file holds: the parts of each stored tensor one above the other.
NamedTensors as_stored(const NamedTensors& parameters, const DecoderConfig& config) {
  if (family_of_type(config.type)->fused.empty()) return parameters;
  const std::map<std::string, at::Tensor> by_name(parameters.begin(), parameters.end());
  NamedTensors stored;
  for (const auto& [name, shape] : config.stored_shapes()) {
    std::vector<at::Tensor> parts;
    for (const auto& part : config.parts_of(name)) parts.push_back(by_name.at(part).detach());
    stored.emplace_back(name, parts.size() == 1 ? parts.front() : at::cat(parts));
  }
  return stored;
}

}  // namespace

void require_weight_dtype(const TensorInfo& info, const std::string& where) {
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble}) {
    if (info.dtype == dtype) return;
  }
  throw Error(ExitCode::kBadInput, {where, "float32, bfloat16, float16 or float64", info.stored_as(),
                                    "Quantised weights are not supported."});
}

at::ScalarType common_dtype(const std::vector<at::ScalarType>& dtypes) {
  const auto count = [&](at::ScalarType dtype) { return std::count(dtypes.begin(), dtypes.end(), dtype); };
  if (count(dtypes.front()) == static_cast<ptrdiff_t>(dtypes.size())) return dtypes.front();
  return count(at::kDouble) > 0 ? at::kDouble : at::kFloat;
}

at::ScalarType stored_dtype(const Weights& weights, const DecoderConfig& config) {
  std::vector<at::ScalarType> dtypes;
  for (const auto& [name, shape] : config.stored_shapes()) dtypes.push_back(weights.tensors().at(name).dtype);
  return common_dtype(dtypes);
}

at::ScalarType held_dtype(const Weights& weights, const DecoderConfig& config) {
  return stored_dtype(weights, config) == at::kBFloat16 ? at::kBFloat16 : at::kFloat;
}

void check_decoder_tensors(const Weights& weights, const DecoderConfig& config) {
  std::set<std::string> known;
  if (weights.contains(kEmbedding)) require_head(weights, config);
  for (const auto& [name, shape] : config.stored_shapes()) {
    known.insert(name);
    const std::string where = weights.path().string() + ": " + name;
    const auto found = weights.tensors().find(name);
    if (found == weights.tensors().end() && name == kEmbedding && weights.contains("embed_tokens.weight")) {
      throw Error(ExitCode::kBadInput, {weights.path().string(), "a language model with its head",
                                        "layers and an embedding alone, as of AutoModel",
                                        "Load and save it as AutoModelForCausalLM."});
    }
    if (found == weights.tensors().end()) weights.tensor(name);  // throws, with a suggestion
    if (found->second.shape != shape) {
      throw Error(ExitCode::kBadInput, {where, "shape " + describe_shape(shape) + " by config.json",
                                        "shape " + describe_shape(found->second.shape), ""});
    }
    require_weight_dtype(found->second, where);
  }
  for (const auto& [name, info] : weights.tensors()) {
    if (known.count(name) != 0 || is_redundant(name, config)) continue;
    throw Error(ExitCode::kBadInput, {weights.path().string(), "only the tensors of its config.json",
                                      "also " + name, "config.json and the weights do not belong together."});
  }
  if (config.tie_word_embeddings && weights.contains(kHead)) require_tied(weights, config);
}

NamedTensors stored_parameters(const Weights& weights, const DecoderConfig& config) {
  NamedTensors tensors;
  each_parameter(weights, config, [&](const std::string& name, const at::Tensor& tensor) {
    require_finite(tensor, weights.path().string() + ": " + name);
    tensors.emplace_back(name, tensor);
  });
  return tensors;
}

at::Tensor stored_parameter(const Weights& weights, const DecoderConfig& config, const std::string& name) {
  const auto shapes = config.parameter_shapes();
  const std::map<std::string, std::vector<int64_t>> shape_of(shapes.begin(), shapes.end());
  for (const auto& [stored, shape] : config.stored_shapes()) {
    const auto parts = config.parts_of(stored);
    const auto own = std::find(parts.begin(), parts.end(), name);
    if (own == parts.end()) continue;
    const auto tensor = weights.tensor(stored);
    require_shape(tensor, shape, weights.path().string() + ": " + stored);
    int64_t first = 0;
    for (auto part = parts.begin(); part != own; ++part) first += shape_of.at(*part)[0];
    return tensor.narrow(0, first, shape_of.at(name)[0]);
  }
  throw std::invalid_argument("no parameter of this config: " + name);
}

Decoder load_decoder(const Weights& weights, const DecoderConfig& config, const DecoderLoadOptions& options) {
  check_decoder_tensors(weights, config);
  const at::NoGradGuard no_grad;
  const auto dtype = options.dtype.value_or(held_dtype(weights, config));
  const auto where = [&](const std::string& name) { return weights.path().string() + ": " + name; };
  std::map<std::string, at::Tensor> tensors;
  const bool copies = options.copy || !options.device.is_cpu();
  if (copies) {
    const auto dtype_of = [&](const std::string& name) {
      return options.float32_mlps && is_mlp_weight(name) ? at::kFloat : dtype;
    };
    tensors = Decoder::allocate(config, options.device, dtype_of);
  }
  each_parameter(weights, config, [&](const std::string& name, const at::Tensor& stored) {
    require_range(stored, copies ? tensors.at(name).scalar_type() : dtype, where(name));
    if (copies) {
      tensors.at(name).copy_(stored);
    } else {
      tensors[name] = stored.to(dtype);
    }
  });
  for (const auto& [name, tensor] : tensors) require_finite(tensor, where(name));
  return Decoder(config, std::move(tensors));
}

Decoder load_decoder(const StoredModel& model, const DecoderLoadOptions& options) {
  return load_decoder(model.weights(), read_decoder_config(model), options);
}

void save_decoder(const fs::path& directory, const NamedTensors& parameters, const DecoderConfig& config) {
  write_sharded_safetensors(directory, as_stored(parameters, config), config.dtype);
  const Json json = decoder_config_json(config);
  write_text(directory / "config.json", format_json(json));
  Json generation = {{"_from_model_config", true}};
  for (const char* key : {"bos_token_id", "eos_token_id"}) generation[key] = json.at(key);
  write_text(directory / kGenerationFile, format_json(generation));
}

}  // namespace bilens
