#include "given_data.h"

#include "bilens/core/kind_table.h"

namespace bilens {

namespace {

const KindTable<GivenData>& kinds_of_data() {
  static const auto all =
      KindTable<GivenData>("dataset",
                           "For example --set data.dataset=mnist-5k, or --data mnist-5k in its place.")
          .kind(ImageDataConfig::fields())
          .kind(TextDataConfig::fields());
  return all;
}

/// The datasets that a table of settings knows.
template <class Config>
std::vector<std::string> datasets() {
  return kind_words(Config::fields().schema(), "dataset");
}

template <class Wanted, class Other>
std::optional<Wanted> take(const GivenData& data, const std::string& model) {
  if (const auto* wanted = std::get_if<Wanted>(&data)) return *wanted;
  const auto* other = std::get_if<Other>(&data);
  if (other == nullptr) return std::nullopt;
  throw Error(ExitCode::kUsage, {"data.dataset", join(datasets<Wanted>()) + ", for " + model,
                                 "\"" + set_name(other->dataset) + "\"", ""});
}

}  // namespace

Json given_data_schema() {
  std::vector<Json> options;
  options.push_back({{"type", "null"}});
  options.insert(options.end(), kinds_of_data().schemas().begin(), kinds_of_data().schemas().end());
  return {{"description",
           "Images or text for the analyses, as in a training config; null: what the model was trained on."},
          {"anyOf", options}};
}

GivenData read_given_data(const Json& value, const std::string& where, std::vector<Problem>& problems) {
  if (value.is_null()) return {};
  return kinds_of_data().read(value, where, problems).value_or(GivenData());
}

Json write_given_data(const GivenData& data) { return kinds_of_data().write(data); }

std::optional<ImageDataConfig> given_images(const GivenData& data) {
  return take<ImageDataConfig, TextDataConfig>(data, "an image classifier");
}

std::optional<TextDataConfig> given_text(const GivenData& data) {
  return take<TextDataConfig, ImageDataConfig>(data, "a language model");
}

}  // namespace bilens
