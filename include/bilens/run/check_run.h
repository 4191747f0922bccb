#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "bilens/run/outcome.h"
#include "bilens/tensor/device.h"

namespace bilens {

struct CheckRunOptions {
  std::filesystem::path model;
  std::string python;               // that has transformers; empty: the active environment's, else python3
  std::filesystem::path reference;  // a file of scripts/make_reference.py, in the place of a Python
  std::string data;  // "text:FILE" to tokenize; empty: a short text with many kinds of characters
  std::optional<int64_t>
      context;  // tokens in a row; nothing: 128, or the model's positions where these are fewer
  std::filesystem::path tokenizer;  // empty: the model's
  std::filesystem::path out;        // folder for check.json; empty: none is written
  DeviceChoice device;
  int64_t threads = 0;
  bool dry_run = false;
};

/// Whether a language model computes here what transformers computes, layer by layer, and whether a text has
/// the same tokens. Its outcome has a failure where something differs by more than rounding.
Outcome run_check(const CheckRunOptions& options);

}  // namespace bilens
