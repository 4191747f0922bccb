#include "language_model.h"

#include <algorithm>

#include "bilens/core/files.h"
#include "bilens/data/token_file.h"
#include "bilens/data/tokenizer_training.h"
#include "bilens/model/family.h"
#include "bilens/model/generation_config.h"
#include "bilens/model/image_classifier.h"
#include "bilens/model/model_directory.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

/// What tokenizers consist of in the Hugging Face layout.
constexpr const char* kTokenizerFiles[] = {"tokenizer.model",         "tokenizer_config.json",
                                           "special_tokens_map.json", "tokenizer.json",
                                           "added_tokens.json",       kChatTemplate};

}  // namespace

const Tokenizer& LanguageModel::tokenizer(const fs::path& path) const {
  const auto found = tokenizers->find(path);
  return found != tokenizers->end() ? found->second
                                    : tokenizers->emplace(path, Tokenizer(path)).first->second;
}

at::Tensor LanguageModel::gain(const std::string& name) const {
  const auto weight = weights().tensor(name);
  return config.one_plus_gains ? 1 + weight.to(at::kDouble) : weight;
}

bool is_language_model(const StoredModel& model) {
  if (!model.is_directory()) return true;  // of single files only decoders are models by themselves
  const auto type = read_model_type(model);
  const std::string classifier = ClassifierConfig{}.type;
  const auto decoders = decoder_types();
  const bool decoder =
      text_part_of(type) != nullptr || std::find(decoders.begin(), decoders.end(), type) != decoders.end();
  if (decoder || type == classifier) return decoder;
  throw Error(ExitCode::kBadInput, {model.where("config.json") + ": model_type",
                                    "\"" + classifier + "\" or \"" + join(decoders, "\" or \"") + "\"",
                                    "\"" + type + "\"", "Other architectures are not read."});
}

LanguageModel open_language_model(const StoredModel& stored) {
  const auto& weights = stored.weights();
  if (const auto config = decoder_config_of_file(weights)) return {stored, *config};
  if (!stored.is_directory()) {
    if (const auto found = read_foreign_decoder(stored)) {
      LanguageModel model{stored, found->config};
      model.translated = std::make_shared<const Weights>(stored.path(), found->sources, found->parameters);
      return model;
    }
    const auto way = way_on_with(stored);
    throw Error(ExitCode::kBadInput,
                {stored.path().string(), "a model directory or a llama2.c file",
                 "weights without a config.json", way.empty() ? "Name the directory that holds both." : way});
  }
  LanguageModel model{stored, read_decoder_config(stored)};
  check_decoder_tensors(weights, model.config);
  model.config.dtype = stored_dtype(weights, model.config);  // what the file holds, whatever its config says
  return model;
}

LanguageModel open_generating_model(const StoredModel& stored) {
  auto model = open_language_model(stored);
  if (stored.is_directory()) model.config.eos_token_id = read_end_tokens(stored, model.config);
  return model;
}

bool has_tokenizer(const LanguageModel& model) {
  return !model.stored.in_memory() && Tokenizer::is_beside(model.stored.folder());
}

Tokenizer open_tokenizer(const LanguageModel& model, const fs::path& path) {
  if (path.empty() && model.stored.in_memory()) {
    throw Error(ExitCode::kBadInput,
                {model.path().string(), "a tokenizer", "none: the model is in memory", "Name its file."});
  }
  const auto& tokenizer = model.tokenizer(path.empty() ? model.stored.folder() : path);
  tokenizer.require_fits(model.config.vocab_size, model.path().string());
  return tokenizer.within(model.config.vocab_size);
}

void copy_tokenizer(const LanguageModel& model, const fs::path& path, const fs::path& target) {
  if (!path.empty()) return save_tokenizer(target, model.tokenizer(path));
  for (const char* name : kTokenizerFiles) {
    if (const auto file = model.stored.file(name); !file.empty()) fs::copy_file(file, target / name);
  }
}

void copy_generation_config(const LanguageModel& model, const fs::path& target) {
  const auto file = model.stored.file(kGenerationFile);
  if (model.stored.is_directory() && !file.empty())
    fs::copy_file(file, target / kGenerationFile, fs::copy_options::overwrite_existing);
}

TokenStream load_stream(const TextDataConfig& data, const LanguageModel& model, const fs::path& tokenizer,
                        int64_t enough) {
  const auto read = [&] {
    if (data.dataset == TextSet::kTokens) {
      const auto& config = model.config;
      return load_token_file(data, config.vocab_size,
                             tokens_that_begin_documents(data, config.bos_token_id, config.eos_token_id));
    }
    const auto named = data.tokenizer.empty() ? tokenizer : fs::path(data.tokenizer);
    return load_text(data, open_tokenizer(model, named), enough);
  };
  auto stream = read();
  if (stream.size() < 2) {
    throw Error(ExitCode::kBadInput, {data.path, "at least 2 tokens, of which one is predicted",
                                      std::to_string(stream.size()), "Give a longer text."});
  }
  return stream;
}

}  // namespace bilens
