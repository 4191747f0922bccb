#include "decomposition_data.h"

#include <regex>

#include "bilens/analysis/results/decomposition.h"
#include "bilens/io/safetensors.h"
#include "checked_json.h"
#include "conversion_data.h"
#include "corpus_data.h"
#include "layer_data.h"

namespace bilens::report {

namespace fs = std::filesystem;

namespace {

/// The file of a layer, which lies in the directory itself: a name with folders in it is refused.
fs::path layer_file(const fs::path& directory, const CheckedJson& entry) {
  const fs::path name = entry.text("file");
  if (name.has_parent_path() || name.filename() == ".." || name.empty()) {
    throw Error(ExitCode::kBadInput,
                {entry.where() + ".file", "the name of a file beside it", name.string(), ""});
  }
  return directory / name;
}

/// [height, width], or null.
Json image_shape(const CheckedJson& decomposition) {
  if (!decomposition.has("image_shape")) return nullptr;
  const auto shape = decomposition.numbers("image_shape");
  const bool valid = shape.size() == 2 && shape[0] >= 1 && shape[1] >= 1;
  return valid ? short_numbers(shape) : Json();
}

/// Of a model that was made from another: from which, and how far from it; else null.
Json converted(const CheckedJson& decomposition) {
  if (!decomposition.has("converted")) return nullptr;
  const auto conversion = decomposition.object("converted");
  return {{"teacher", conversion.text_or_empty("teacher")},
          {"validation", seen_beside_teacher(conversion, "validation")},
          {"test", seen_beside_teacher(conversion, "test")}};
}

/// What the layers stand for, where they are not the model's own; else null.
Json surrogate(const CheckedJson& decomposition) {
  if (!decomposition.has("surrogate")) return nullptr;
  const auto found = decomposition.object("surrogate");
  return {{"kind", found.text("kind")},
          {"hidden_act", found.text_or_empty("hidden_act")},
          {"meaning", found.text("meaning")},
          {"path", found.has("data") ? Json(found.object("data").text_or_empty("path")) : Json()},
          {"tokens", found.has("tokens") ? Json(found.size("tokens")) : Json()}};
}

/// What the gate of the layers is and where that came from; null where nothing records it.
Json gate(const CheckedJson& decomposition) {
  if (!decomposition.has("gate")) return nullptr;
  const auto found = decomposition.object("gate");
  return {{"name", found.text("name")}, {"source", found.text_or_empty("source")}};
}

/// The norms around the layers and what became of their gain; null where nothing records them.
Json norm(const CheckedJson& decomposition) {
  if (!decomposition.has("norm")) return nullptr;
  const auto found = decomposition.object("norm");
  return {{"kind", found.text("kind")},
          {"before", found.text_or_empty("before")},
          {"gain", found.text_or_empty("gain")},
          {"behind", found.text_or_empty("behind")},
          {"source", found.text_or_empty("source")},
          {"folded", decomposition.has("fold_norm") ? Json(decomposition.flag("fold_norm")) : Json()}};
}

/// Whether nothing records where norms and gates came from.
bool lacks_record(const CheckedJson& decomposition) { return !doubt_about(decomposition.json()).empty(); }

/// N of a training checkpoint ".../step-N", or null.
Json checkpoint_step(const std::string& model) {
  std::smatch found;
  if (!std::regex_search(model, found, std::regex("(?:^|/)step-([0-9]{1,15})/?$"))) return nullptr;
  return std::stoll(found[1]);
}

}  // namespace

Json decomposition_data(const fs::path& directory, const Study* study, const Detail& detail,
                        ImagePool& images) {
  const fs::path file = directory / "decomposition.json";
  const Json json = read_json(file, ExitCode::kBadInput);
  const CheckedJson decomposition(json, file.string());
  decomposition.require_format("bilens-decomposition", 1);
  const auto corpus = Corpus::read(directory);
  const auto tokens = Tokens::read(directory);
  Json layers = Json::array();
  for (const auto& entry : decomposition.objects("layers")) {
    const SafetensorsFile tensors(layer_file(directory, entry));
    layers.push_back(layer_data(entry, tensors, study, corpus.get(), tokens.get(), detail, images));
  }
  return {{"directory", directory.string()},
          {"version", decomposition.text_or_empty("version")},
          {"model", decomposition.text_or_empty("model")},
          {"step", checkpoint_step(decomposition.text_or_empty("model"))},
          {"minus", decomposition.text_or_empty("minus")},
          {"model_sha256", decomposition.text_or_empty("model_sha256")},
          {"model_type", decomposition.text_or_empty("model_type")},
          {"image_shape", image_shape(decomposition)},
          {"converted", converted(decomposition)},
          {"surrogate", surrogate(decomposition)},
          {"gate", gate(decomposition)},
          {"norm", norm(decomposition)},
          {"lacks_record", lacks_record(decomposition)},
          {"config", json.value("config", Json())},
          {"device", decomposition.text_or_empty("device")},
          {"seconds", decomposition.has("seconds") ? short_number(decomposition.number("seconds")) : Json()},
          {"corpus", corpus ? corpus->summary() : Json()},
          {"tokens", tokens ? tokens->summary(detail.examples) : Json()},
          {"layers", layers}};
}

}  // namespace bilens::report
