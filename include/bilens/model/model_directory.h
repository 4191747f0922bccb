#pragma once

#include <filesystem>

#include "bilens/model/image_classifier.h"
#include "bilens/model/stored_model.h"

namespace bilens {

/// What config.json says a directory holds: its model_type, e.g. "bilinear_mlp" or "llama".
/// @throws Error(kBadInput) when there is none.
std::string read_model_type(const StoredModel& model);

/// @throws Error(kBadInput): no such model, another type, keys or tensors missing, extra or of another shape.
ClassifierConfig read_classifier_config(const StoredModel& model);
/// Names and shapes from the header alone, before a module is built: a config that claims giant sizes must
/// not make us allocate them. @throws Error(kBadInput) that names the tensor
void check_classifier_tensors(const Weights& weights, const ClassifierConfig& config);

ImageClassifier load_classifier(const StoredModel& model, at::Device device);

/// Fills a directory with config.json and model.safetensors (float32, the Hugging Face layout).
void save_classifier(const std::filesystem::path& directory, const ImageClassifier& model);

}  // namespace bilens
