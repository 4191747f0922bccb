#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "bilens/records/model_reference.h"
#include "language_model.h"

namespace bilens {

/// scripts/make_reference.py, put into the library by cmake/Embed.cmake.
extern const std::string_view kReferenceScript;

struct ReferenceRequest {
  std::string python;               // that has transformers
  std::string text;                 // to tokenize; empty: the script's own
  std::filesystem::path tokenizer;  // its folder; empty: the model's
  std::optional<int64_t> length;    // tokens in a row; nothing: the script's own
  int64_t threads = 0;              // 0: as torch has it
};

/// The Python where none is named: that of the active environment, else python3 of PATH.
std::string default_python();

ReferenceSizes reference_sizes(const LanguageModel& model);

/// Has a Python compute what transformers computes with the model. Nothing of it stays on disk.
/// @throws Error where there is no such Python, no transformers in it, or where it fails: with its last words
ModelReference make_reference(const LanguageModel& model, const std::string& sha256,
                              const ReferenceRequest& request);

}  // namespace bilens
