#include "corpus.h"

#include <algorithm>

#include "data_spec.h"
#include "packing.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

TextDataConfig choose_text(const LanguageModel& model, const std::optional<TextDataConfig>& given,
                           const std::string& data_spec, const std::string& purpose, TextSplit part) {
  std::optional<TextDataConfig> data;
  if (data_spec.empty() && given) {
    data = given;
  } else {
    data = text_of_model(data_spec, model.stored);
    if (data && data_spec.empty()) data->split = part;
  }
  if (!data) {
    throw Error(ExitCode::kUsage, {model.path().string(), "a text for " + purpose,
                                   "no --data, no \"data\", and no run beside the model",
                                   "Give --data, for example --data text:stories.txt.gz."});
  }
  data->context = std::min(data->context, model.config.max_position_embeddings);
  std::vector<Problem> problems;
  check_packing(model.config, *data, "data", problems);
  if (!problems.empty()) throw Error(ExitCode::kUsage, problems);
  return *data;
}

}  // namespace

TextWindows Corpus::windows(int64_t tokens) const {
  return {stream, 0, std::min(tokens, stream.size()), data.context, data.packing};
}

Decoder Corpus::load(const DeviceChoice& device) const {
  DecoderLoadOptions options;
  options.device = choose_device(device);
  options.dtype = at::kFloat;
  auto loaded = model.load(options);
  loaded.require_gradients(false);
  return loaded;
}

Corpus open_corpus(const LanguageModel& model, const std::optional<TextDataConfig>& data,
                   const fs::path& tokenizer, const std::string& data_spec, const std::string& purpose,
                   TextSplit part, int64_t tokens) {
  const auto chosen = choose_text(model, data, data_spec, purpose, part);
  return {model, chosen, load_stream(chosen, model, tokenizer, tokens)};
}

MlpGains mlp_gains(const LanguageModel& model, int64_t layer) {
  const auto names = model.config.norm_names();
  const auto gain = [&](const std::string& name) {
    if (name.empty()) return at::Tensor();
    return model.gain("model.layers." + std::to_string(layer) + "." + name + ".weight");
  };
  return {gain(names.before_mlp), gain(names.behind_mlp)};
}

}  // namespace bilens
