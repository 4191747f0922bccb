#pragma once

#include <filesystem>
#include <string>

#include "bilens/core/json.h"
#include "bilens/study/mlp_gains.h"
#include "bilens/study/text_windows.h"
#include "bilens/tensor/device.h"
#include "language_model.h"

namespace bilens {

/// A language model and the text that a study has it read.
struct Corpus {
  LanguageModel model;
  TextDataConfig data;
  TokenStream stream;

  /// The first `tokens`, or fewer where the text is shorter.
  TextWindows windows(int64_t tokens) const;

  /// The model in float32 without gradients.
  Decoder load(const DeviceChoice& device) const;
};

/// @param data settings of the text, if a config has them
/// @param data_spec text:FILE or tokens:FILE, before `data`; both empty: what the run beside the model
/// trained on
/// @param purpose of the text, for messages
/// @param part of what the run trained on
/// @param tokens how many will be asked for: of a long text no more is read
/// @throws Error(kUsage, kBadInput): no text
Corpus open_corpus(const LanguageModel& model, const std::optional<TextDataConfig>& data,
                   const std::filesystem::path& tokenizer, const std::string& data_spec,
                   const std::string& purpose, TextSplit part, int64_t tokens);

/// The gains of the norms around a layer's MLP, which load_layers folds into that.
MlpGains mlp_gains(const LanguageModel& model, int64_t layer);

}  // namespace bilens
