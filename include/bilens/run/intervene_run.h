#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bilens/data/text_data.h"
#include "bilens/data/token_name.h"
#include "bilens/run/outcome.h"
#include "bilens/study/intervention.h"
#include "bilens/tensor/device.h"

namespace bilens {

/// The whole config of `bilens intervene`.
struct InterveneRunConfig {
  int64_t format_version = 1;
  std::optional<int64_t> layer;  // of the decomposition; nothing: its only one
  int64_t direction = 0;         // of the layer
  std::vector<int64_t> eigenvectors = {0};
  InterventionConfig intervention;
  std::vector<TokenName> plus, minus;    // tokens whose mean logits' difference is followed
  std::optional<TextDataConfig> data;    // nothing: the test part of what the model was trained on
  std::optional<TextDataConfig> source;  // whose values "patch" puts in
  int64_t tokens = 10000;
  std::string tokenizer;
  DeviceChoice device;
  int64_t threads = 0;

  InterveneRunConfig();  // out of line, as DecomposeRunConfig's

  static const FieldTable<InterveneRunConfig>& fields();
};

struct InterveneRunOptions {
  std::string decomposition;  // directory of `bilens decompose`, of a language model
  Json config;
  std::string where;  // of the config, in messages
  std::string data;   // SPEC; empty: the config's, or what the model's run trained on
  bool dry_run = false;
};

/// What a language model loses when eigenpairs' contributions to one direction of a layer's output are
/// changed, beside controls.
Outcome run_intervention(const InterveneRunOptions& options);

}  // namespace bilens
