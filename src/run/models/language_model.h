#pragma once

#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "bilens/data/text_data.h"
#include "bilens/data/tokenizer.h"
#include "bilens/model/decoder_directory.h"

namespace bilens {

/// A decoder's checkpoint, checked but not loaded: a model directory, a llama2.c file, or weights that
/// another program stored in its own way.
struct LanguageModel {
  StoredModel stored;
  DecoderConfig config;
  /// Those that were opened for it, by their paths; copies share them.
  std::shared_ptr<std::map<std::filesystem::path, Tokenizer>> tokenizers =
      std::make_shared<std::map<std::filesystem::path, Tokenizer>>();
  /// Those of another program's file under our names; null: the file's own.
  std::shared_ptr<const Weights> translated = nullptr;

  const std::filesystem::path& path() const { return stored.path(); }
  const Weights& weights() const { return translated ? *translated : stored.weights(); }
  /// What a norm multiplies with, by its stored weight's name.
  at::Tensor gain(const std::string& name) const;
  Decoder load(const DecoderLoadOptions& options) const { return load_decoder(weights(), config, options); }
  /// The tokenizer at a path, opened once. @throws as Tokenizer
  const Tokenizer& tokenizer(const std::filesystem::path& path) const;
};

/// @throws Error(kBadInput): no such model, another type, tensors that do not fit its config.
LanguageModel open_language_model(const StoredModel& model);

/// Whether it is a language model rather than an image classifier. @throws Error(kBadInput) for neither
bool is_language_model(const StoredModel& model);

/// Opens a language model whose eos_token_id are what ends a text that it generates
/// (model/generation_config.h).
LanguageModel open_generating_model(const StoredModel& model);

/// Whether a tokenizer lies beside the model's weights.
bool has_tokenizer(const LanguageModel& model);

/// The tokenizer at `path`, or where that is empty the one beside the model's weights; checked against its
/// vocabulary. @throws Error(kBadInput)
Tokenizer open_tokenizer(const LanguageModel& model, const std::filesystem::path& path);

/// Fills a model directory with the tokenizer at `path`, or where that is empty with the files of the one
/// beside the model, if any.
void copy_tokenizer(const LanguageModel& model, const std::filesystem::path& path,
                    const std::filesystem::path& target);

/// Keeps the generation_config.json beside a model, if any, in a directory that one was written into.
void copy_generation_config(const LanguageModel& model, const std::filesystem::path& target);

/// The tokens that a config names, for a model. A tokenizer is needed only for text: the config's own,
/// `tokenizer` or the model's, the first that is given. @param enough of a text, as for load_text
/// @throws Error(kBadInput) also where no token is left to predict
TokenStream load_stream(const TextDataConfig& data, const LanguageModel& model,
                        const std::filesystem::path& tokenizer,
                        int64_t enough = std::numeric_limits<int64_t>::max());

}  // namespace bilens
