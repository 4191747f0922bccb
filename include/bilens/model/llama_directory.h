#pragma once

#include <filesystem>
#include <optional>

#include "bilens/io/weights.h"
#include "bilens/model/llama_decoder.h"

namespace bilens {

/// How a checkpoint is brought into memory.
struct LlamaLoadOptions {
  at::Device device = at::kCPU;
  std::optional<at::ScalarType> dtype;  // that weights are held in; not given: stored_dtype
  /// For training, or where one product for matrices with the same input is wanted (nn/linear.h): a copy of
  /// the weights in memory. Else, where device and dtype allow, the mapped file itself, to be read only.
  bool copy = false;
  /// With `copy`: the MLPs' weights are float32 whatever the others are, to be trained alone.
  bool float32_mlps = false;
};

/// The dtype that weights are held in where nothing else is asked for: as stored, float16 as float32.
at::ScalarType stored_dtype(const Weights& weights);

/// Names, shapes and dtypes of the header against the config, before anything of the data is read. A
/// lm_head.weight beside tied embeddings and stored rotary frequencies are passed over.
/// @throws Error(kBadInput) that names the tensor.
void check_llama_tensors(const Weights& weights, const LlamaConfig& config);

/// A decoder of weights with Hugging Face's names.
LlamaDecoder load_llama(const Weights& weights, const LlamaConfig& config,
                        const LlamaLoadOptions& options = {});

/// A directory in the Hugging Face layout: config.json and the weights.
LlamaDecoder load_llama(const std::filesystem::path& directory, const LlamaLoadOptions& options = {});

/// Fills a directory with config.json, generation_config.json and model.safetensors, in the dtype that the
/// config says, as transformers reads them.
void save_llama(const std::filesystem::path& directory, const NamedTensors& parameters,
                const LlamaConfig& config);

}  // namespace bilens
