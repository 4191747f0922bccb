#pragma once

#include <filesystem>

#include "bilens/model/image_classifier.h"
#include "bilens/model/stored_model.h"

namespace bilens {

/// What config.json says a directory holds: its model_type, e.g. "bilinear_mlp" or "llama".
/// @throws Error(kBadInput) when there is none.
std::string read_model_type(const StoredModel& model);

/// Reads the config of an image classifier from its config.json, and no tensors.
/// @throws Error(kBadInput): no such model, another type, keys missing, extra or out of range
ClassifierConfig read_classifier_config(const StoredModel& model);
/// Checks names and shapes by the header alone, before a module is built: a config that claims giant sizes
/// must not make us allocate them. @throws Error(kBadInput) that names the tensor
void check_classifier_tensors(const Weights& weights, const ClassifierConfig& config);

/// Loads an image classifier in float32 onto a device.
/// @throws Error(kBadInput) as read_classifier_config, and for tensors that are missing, extra, of another
/// shape or not finite
ImageClassifier load_classifier(const StoredModel& model, at::Device device);

/// Fills a directory with config.json and model.safetensors (float32, the Hugging Face layout).
void save_classifier(const std::filesystem::path& directory, const ImageClassifier& model);

}  // namespace bilens
