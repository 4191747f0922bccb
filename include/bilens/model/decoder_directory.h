#pragma once

#include <filesystem>
#include <optional>

#include "bilens/model/decoder.h"
#include "bilens/model/stored_model.h"

namespace bilens {

/// How a checkpoint is brought into memory.
struct DecoderLoadOptions {
  at::Device device = at::kCPU;
  std::optional<at::ScalarType> dtype;  // that weights are held in; not given: held_dtype
  /// For training, or where one product for matrices with the same input is wanted (nn/linear.h): a copy of
  /// the weights in memory. Else, where device and dtype allow, the mapped file itself, to be read only.
  bool copy = false;
  /// With `copy`: the MLPs' weights are float32 whatever the others are, to be trained alone.
  bool float32_mlps = false;
};

/// @throws Error(kBadInput) for a dtype that is none of those that Llamas are stored in
void require_weight_dtype(const TensorInfo& info, const std::string& where);

/// The dtype that holds numbers of all these without rounding: their own where it is one for all, float64
/// where that is among them, else float32.
at::ScalarType common_dtype(const std::vector<at::ScalarType>& dtypes);

/// That of a model's weights as they are stored.
at::ScalarType stored_dtype(const Weights& weights, const DecoderConfig& config);

/// The dtype that weights are held and computed in where nothing else is asked for: bfloat16 where all are
/// stored so, else float32, which rounds none but float64.
at::ScalarType held_dtype(const Weights& weights, const DecoderConfig& config);

/// Names, shapes and dtypes of the header against the config, before the data are read. Stored rotary
/// frequencies are passed over, as is a lm_head.weight that repeats the embedding it is tied to.
/// @throws Error(kBadInput) that names the tensor, also a lm_head.weight of other values than it is tied to.
void check_decoder_tensors(const Weights& weights, const DecoderConfig& config);

/// The tensors as they are stored, in the order of config.parameter_shapes().
/// @throws Error(kBadInput) for one that is not finite
NamedTensors stored_parameters(const Weights& weights, const DecoderConfig& config);

/// One of config.parameter_shapes(): a tensor, or its rows of one that holds several.
/// @throws Error(kBadInput) where that is missing or of another shape
at::Tensor stored_parameter(const Weights& weights, const DecoderConfig& config, const std::string& name);

/// A decoder of weights with Hugging Face's names.
Decoder load_decoder(const Weights& weights, const DecoderConfig& config,
                     const DecoderLoadOptions& options = {});

/// A directory in the Hugging Face layout: config.json and the weights.
Decoder load_decoder(const StoredModel& model, const DecoderLoadOptions& options = {});

/// Fills a directory with config.json, generation_config.json and model.safetensors, in the dtype that the
/// config says, as transformers reads them.
void save_decoder(const std::filesystem::path& directory, const NamedTensors& parameters,
                  const DecoderConfig& config);

}  // namespace bilens
