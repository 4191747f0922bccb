#pragma once

#include <optional>
#include <string>

#include "bilens/records/surrogate.h"
#include "bilens/run/outcome.h"
#include "bilens/tensor/device.h"

namespace bilens {

struct ExplainPromptOptions {
  std::string model;
  std::string prompt;
  std::string logit;  // a token by word, piece or number; empty: the likeliest next one
  std::string minus;  // a token whose logit is subtracted; empty: the mean of all logits is
  std::optional<SurrogateKind> surrogate;  // of a gated model's MLPs: kHalf; nothing refuses such a model
  std::string tokenizer;
  std::string out;  // folder for the files; empty: none are written
  DeviceChoice device;
  int64_t threads = 0;
  bool dry_run = false;
};

/// What `--surrogate` asks for: nothing of "none" and of no word. @throws Error(kUsage) for what is not
/// possible here
std::optional<SurrogateKind> parse_surrogate(const std::string& word);

/// A difference of logits behind a prompt as a sum over embedding, attentions and eigenvectors of the MLPs;
/// with `out` as explanation.json, explanation.safetensors and a page (docs/formats.md).
/// @throws Error(kBadInput) for a gated model without a surrogate
Outcome run_prompt_explanation(const ExplainPromptOptions& options);

}  // namespace bilens
