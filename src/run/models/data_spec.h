#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "bilens/core/error.h"
#include "bilens/data/image_dataset.h"
#include "bilens/data/text_data.h"
#include "bilens/model/image_classifier.h"
#include "bilens/model/stored_model.h"

namespace bilens {

/// "KIND" or "KIND:PATH" of the command line: mnist-5k, mnist:DIR, fashion-mnist:DIR, idx:IMAGES,LABELS.
/// @throws Error(kUsage), also for text
ImageDataConfig parse_data_spec(const std::string& spec);

/// text:FILE or tokens:FILE, with keys of the data's config behind the kind where need be:
/// "tokens,dtype=uint32:FILE" (split; of text also keep_in, of tokens held_out, dtype, document_token).
/// @throws Error(kUsage), also for images
TextDataConfig parse_text_spec(const std::string& spec);

/// The data of a model: what `spec` says, else what the run that made the model trained on (its config.json
/// beside model/ or above checkpoints/); none when neither is there.
std::optional<ImageDataConfig> data_of_model(const std::string& spec, const StoredModel& model);

/// The images for a classifier. @param path of the model, for messages
/// @param seed of the validation part, as for load_images
/// @throws Error(kBadInput) where they have other pixels or more classes than the model
ImageDataset load_images_for(const ClassifierConfig& model, const std::filesystem::path& path,
                             const ImageDataConfig& config, uint64_t seed = 0);

/// The text of a language model, chosen as data_of_model() does. The split is that of the spec or of the run.
std::optional<TextDataConfig> text_of_model(const std::string& spec, const StoredModel& model);

/// To be thrown where neither is there. @param wanted what the data are for @param example a spec
Error no_data(const std::string& where, const std::string& wanted, const std::string& example);

/// What the run that made a model drew its validation images by (its train.seed); 0 where there is no run.
uint64_t seed_of_model(const StoredModel& model);

}  // namespace bilens
