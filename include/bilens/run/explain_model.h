#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bilens/data/token_name.h"
#include "bilens/model/stored_model.h"
#include "bilens/records/estimate.h"
#include "bilens/study/prompt_explanation.h"
#include "bilens/tensor/device.h"

namespace bilens {

/// A language model, on disk or in memory, and the logit difference behind a prompt that is explained.
struct ExplainModelOptions {
  StoredModel model;
  std::string prompt;                       // the text; may be empty beside `ids`
  std::optional<std::vector<int64_t>> ids;  // its tokens; nothing: as the tokenizer makes them
  std::optional<TokenName> logit;           // nothing: the likeliest next token
  std::optional<TokenName> minus;           // whose logit is subtracted; nothing: the mean of all logits is
  std::optional<SurrogateKind> surrogate;   // of a gated model's MLPs: kHalf; nothing refuses such a model
  std::string with_surrogate;               // what a user writes to get one, for messages
  std::filesystem::path tokenizer;          // empty: the one beside the model's weights
  std::vector<std::string> pieces =
      {};                     // names of the first tokens, of a tokenizer that is not ours; or none
  std::filesystem::path out;  // folder for the files and the page; empty: none are written
  DeviceChoice device;
  int64_t threads = 0;
};

struct ExplainedModel {
  PromptExplanation explanation;
  PromptExplanationRecord record;
  std::optional<std::string> page;
};

/// A difference of logits behind a prompt as a sum over embedding, attentions and eigenvectors of the MLPs.
/// @throws Error(kBadInput) for a gated model without a surrogate; Error(kUsage); Stopped
ExplainedModel explain_model(const ExplainModelOptions& options);

/// What that takes, after the same checks.
Estimate estimate_explanation(const ExplainModelOptions& options);

}  // namespace bilens
