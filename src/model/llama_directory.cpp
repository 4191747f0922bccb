#include "bilens/model/llama_directory.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <set>

#include "bilens/core/files.h"
#include "bilens/io/sharded_safetensors.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

/// Tensors that old files carry and that follow from the rest.
bool is_redundant(const std::string& name, const LlamaConfig& config) {
  return name.ends_with(".rotary_emb.inv_freq") || (config.tie_word_embeddings && name == "lm_head.weight");
}

bool is_weight_dtype(at::ScalarType dtype) {
  return dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf || dtype == at::kDouble;
}

}  // namespace

at::ScalarType stored_dtype(const Weights& weights) {
  const auto stored = weights.tensors().at("model.embed_tokens.weight").dtype;
  return stored == at::kBFloat16 ? at::kBFloat16 : at::kFloat;
}

void check_llama_tensors(const Weights& weights, const LlamaConfig& config) {
  std::set<std::string> known;
  for (const auto& [name, shape] : config.parameter_shapes()) {
    known.insert(name);
    const std::string where = weights.path().string() + ": " + name;
    const auto found = weights.tensors().find(name);
    if (found == weights.tensors().end()) weights.tensor(name);  // throws, with a suggestion
    if (found->second.shape != shape) {
      throw Error(ExitCode::kBadInput, {where, "shape " + describe_shape(shape) + " by config.json",
                                        "shape " + describe_shape(found->second.shape), ""});
    }
    if (!is_weight_dtype(found->second.dtype)) {
      throw Error(ExitCode::kBadInput,
                  {where, "float32, bfloat16, float16 or float64", c10::toString(found->second.dtype),
                   "Quantised weights are not supported."});
    }
  }
  for (const auto& [name, info] : weights.tensors()) {
    if (known.count(name) != 0 || is_redundant(name, config)) continue;
    throw Error(ExitCode::kBadInput, {weights.path().string(), "only the tensors of its config.json",
                                      "also " + name, "config.json and the weights do not belong together."});
  }
}

LlamaDecoder load_llama(const Weights& weights, const LlamaConfig& config, const LlamaLoadOptions& options) {
  check_llama_tensors(weights, config);
  const at::NoGradGuard no_grad;
  const auto dtype = options.dtype.value_or(stored_dtype(weights));
  std::map<std::string, at::Tensor> tensors;
  if (options.copy || !options.device.is_cpu()) {
    const auto dtype_of = [&](const std::string& name) {
      return options.float32_mlps && is_mlp_weight(name) ? at::kFloat : dtype;
    };
    tensors = LlamaDecoder::allocate(config, options.device, dtype_of);
    for (auto& [name, tensor] : tensors) tensor.copy_(weights.tensor(name));
  } else {
    for (const auto& [name, shape] : config.parameter_shapes())
      tensors[name] = weights.tensor(name).to(dtype);
  }
  for (const auto& [name, tensor] : tensors) require_finite(tensor, weights.path().string() + ": " + name);
  return LlamaDecoder(config, std::move(tensors));
}

LlamaDecoder load_llama(const fs::path& directory, const LlamaLoadOptions& options) {
  const auto config = read_llama_config(directory);
  return load_llama(Weights(directory), config, options);
}

void save_llama(const fs::path& directory, const NamedTensors& parameters, const LlamaConfig& config) {
  write_sharded_safetensors(directory, parameters, config.dtype);
  const Json json = llama_config_json(config);
  write_text(directory / "config.json", format_json(json));
  Json generation = {{"_from_model_config", true}};
  for (const char* key : {"bos_token_id", "eos_token_id"}) generation[key] = json.at(key);
  write_text(directory / "generation_config.json", format_json(generation));
}

}  // namespace bilens
