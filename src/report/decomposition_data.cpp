#include "decomposition_data.h"

#include <regex>

#include "bilens/records/decomposition.h"
#include "conversion_data.h"
#include "corpus_data.h"
#include "layer_data.h"
#include "numbers.h"
#include "token_data.h"

namespace bilens::report {

namespace {

/// The model that this one was made from, and how far it is from that; null where there is none.
Json converted(const std::optional<ConversionRecord>& conversion) {
  if (!conversion) return nullptr;
  return {{"teacher", conversion->teacher},
          {"teacher_sha256", conversion->teacher_sha256},
          {"validation", seen_beside_teacher(conversion->validation)},
          {"test", seen_beside_teacher(conversion->test)}};
}

/// The norms around the layers and what became of their gain; null where nothing records them.
Json norm(const DecompositionRecord& info) {
  if (!info.norm) return nullptr;
  Json data = NormRecord::record().write(*info.norm);
  data["folded"] = RecordValue<std::optional<bool>>::write(info.fold_norm);
  return data;
}

/// N of a training checkpoint ".../step-N", or null.
Json checkpoint_step(const std::string& model) {
  std::smatch found;
  if (!std::regex_search(model, found, std::regex("(?:^|/)step-([0-9]{1,15})/?$"))) return nullptr;
  return std::stoll(found[1]);
}

}  // namespace

Json decomposition_data(const std::filesystem::path& directory, const ImageStudy* study, const Detail& detail,
                        ImagePool& images) {
  const auto decomposition = read_decomposition(directory);
  const auto& info = decomposition.info;
  const auto corpus = Corpus::read(directory);
  const auto tokens = read_token_study(directory);
  Json layers = Json::array();
  for (size_t i = 0; i < decomposition.layers.size(); ++i) {
    const LayerPart part = {decomposition.layers[i], info.layers[i], study, corpus.get(),
                            tokens ? &*tokens : nullptr};
    layers.push_back(layer_data(part, detail, images));
  }
  // What the page says elsewhere, and lists that are as long as the vocabulary, are not repeated.
  Json data = DecompositionRecord::record().write(info);
  data["directory"] = directory.string();
  data["step"] = checkpoint_step(info.model);
  data["converted"] = converted(info.converted);
  data["norm"] = norm(info);
  data["lacks_record"] = !info.doubt().empty();
  data["seconds"] = short_number(info.seconds);
  data["corpus"] = corpus ? corpus->summary() : Json();
  data["tokens"] = tokens ? tokens_summary(*tokens, detail.examples) : Json();
  data["layers"] = layers;
  return data;
}

}  // namespace bilens::report
