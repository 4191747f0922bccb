#include "bilens/model/family.h"

#include <algorithm>

#include "families/families.h"

namespace bilens {

namespace {

/// What the first family finds that has this member.
template <class T, class Argument>
std::optional<T> first_found(std::optional<T> (*Family::*member)(const Argument&), const Argument& argument) {
  for (const auto* family : families()) {
    if (family->*member == nullptr) continue;
    if (auto found = (family->*member)(argument)) return found;
  }
  return std::nullopt;
}

}  // namespace

const std::vector<const Family*>& families() {
  static const std::vector<const Family*> all = {
      &family::llama(),    &family::mistral(),      &family::qwen2(),  &family::qwen3(),
      &family::smollm3(),  &family::phi3(),         &family::gemma(),  &family::gemma2(),
      &family::gemma3(),   &family::later_gemmas(), &family::olmo2(),  &family::olmo3(),
      &family::stablelm(), &family::meta(),         &family::papers(), &family::paper_classifier(),
      &family::llama2c(),  &family::lit_gpt(),      &family::gpt2()};
  return all;
}

const Family* family_of_type(const std::string& type) {
  for (const auto* family : families()) {
    const auto& types = family->types;
    if (std::find(types.begin(), types.end(), type) != types.end()) return family;
  }
  return nullptr;
}

const Family* text_part_of(const std::string& type) {
  for (const auto* family : families()) {
    const auto& wholes = family->part_of;
    if (std::find(wholes.begin(), wholes.end(), type) != wholes.end()) return family;
  }
  return nullptr;
}

std::vector<std::string> decoder_types() {
  std::vector<std::string> types;
  for (const auto* family : families()) {
    if (family->is_computed) types.insert(types.end(), family->types.begin(), family->types.end());
  }
  return types;
}

const Family* family_of_folder(const std::filesystem::path& path) {
  for (const auto* family : families())
    if (family->is_folder != nullptr && family->is_folder(path)) return family;
  return nullptr;
}

bool is_foreign_folder(const std::filesystem::path& path) { return family_of_folder(path) != nullptr; }

std::filesystem::path whole_model_of(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  const auto* family = family_of_folder(folder);
  return family != nullptr && family->file_of_folder == file.filename() ? folder : file;
}

std::optional<DecoderConfig> decoder_config_of_file(const Weights& weights) {
  return first_found(&Family::config_of_file, weights);
}

std::optional<ForeignDecoder> read_foreign_decoder(const StoredModel& model) {
  if (const auto* family = model.in_memory() ? nullptr : family_of_folder(model.path()))
    return family->read_decoder(model);
  return first_found(&Family::read_decoder, model);
}

std::optional<ForeignClassifier> find_foreign_classifier(const StoredModel& model) {
  return first_found(&Family::find_classifier, model);
}

std::string way_on_with(const StoredModel& model) {
  for (const auto* family : families()) {
    const auto way = family->way_on == nullptr ? "" : family->way_on(model);
    if (!way.empty()) return way;
  }
  return "";
}

}  // namespace bilens
