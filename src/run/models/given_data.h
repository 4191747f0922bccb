#pragma once

#include <optional>
#include <string>
#include <variant>

#include "bilens/data/image_dataset.h"
#include "bilens/data/text_data.h"

namespace bilens {

/// The data that a config names for models of any kind: images, text, or none.
using GivenData = std::variant<std::monostate, ImageDataConfig, TextDataConfig>;

/// Schema, reader and writer of the config key "data": null, or an object as in a training config, whose
/// dataset tells which kind it is.
Json given_data_schema();
GivenData read_given_data(const Json& value, const std::string& where, std::vector<Problem>& problems);
Json write_given_data(const GivenData& data);

/// What is given, for a model that takes this kind; nothing where nothing is. @throws Error(kUsage) for the
/// other kind
std::optional<ImageDataConfig> given_images(const GivenData& data);
std::optional<TextDataConfig> given_text(const GivenData& data);

}  // namespace bilens
