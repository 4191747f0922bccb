#include "given_data.h"

#include <algorithm>

namespace bilens {

namespace {

/// The datasets that a table of settings knows.
template <class Config>
std::vector<std::string> datasets() {
  return Config::fields().schema().at("properties").at("dataset").at("enum");
}

template <class Wanted, class Other>
std::optional<Wanted> take(const GivenData& data, const std::string& model) {
  if (const auto* wanted = std::get_if<Wanted>(&data)) return *wanted;
  const auto* other = std::get_if<Other>(&data);
  if (other == nullptr) return std::nullopt;
  throw Error(ExitCode::kUsage, {"data.dataset", join(datasets<Wanted>()) + ", for " + model,
                                 "\"" + other->dataset + "\"", ""});
}

}  // namespace

Json given_data_schema() {
  const auto named = [](Json schema) {
    schema["required"] = {"dataset"};
    schema["properties"]["dataset"].erase("default");
    return schema;
  };
  return {{"description",
           "Images or text for the analyses, as in a training config; null: what the model was trained on."},
          {"anyOf",
           {{{"type", "null"}},
            named(ImageDataConfig::fields().schema()),
            named(TextDataConfig::fields().schema())}}};
}

GivenData read_given_data(const Json& value, const std::string& where, std::vector<Problem>& problems) {
  if (value.is_null()) return {};
  const Json dataset = value.value("dataset", Json());
  const auto images = datasets<ImageDataConfig>(), texts = datasets<TextDataConfig>();
  const auto is_one_of = [&](const std::vector<std::string>& names) {
    return std::any_of(names.begin(), names.end(), [&](const auto& name) { return dataset == name; });
  };
  if (is_one_of(texts)) return TextDataConfig::fields().parse(value, where, problems);
  if (is_one_of(images)) return ImageDataConfig::fields().parse(value, where, problems);
  auto all = images;
  all.insert(all.end(), texts.begin(), texts.end());
  const auto place = key_path(where, "dataset");
  if (dataset.is_null()) {
    problems.push_back({place, "the kind of data: " + join(all), "none",
                        "For example --set data.dataset=mnist-5k, or --data mnist-5k in its place."});
  } else {
    check_value(dataset, choice_schema("", all), place, problems);
  }
  return {};
}

Json write_given_data(const GivenData& data) {
  if (const auto* images = std::get_if<ImageDataConfig>(&data))
    return ImageDataConfig::fields().dump(*images);
  if (const auto* text = std::get_if<TextDataConfig>(&data)) return TextDataConfig::fields().dump(*text);
  return nullptr;
}

std::optional<ImageDataConfig> given_images(const GivenData& data) {
  return take<ImageDataConfig, TextDataConfig>(data, "an image classifier");
}

std::optional<TextDataConfig> given_text(const GivenData& data) {
  return take<TextDataConfig, ImageDataConfig>(data, "a language model");
}

}  // namespace bilens
