#pragma once

#include <string>

#include "bilens/records/training_result.h"

namespace bilens {

// What `bilens evaluate --json` prints: of an image classifier its ImageResult.

/// What the command prints of a language model.
struct TextEvaluated {
  std::string model;
  int64_t tokens = 0;
  double loss = 0, perplexity = 0;
  int64_t context = 0;

  static const RecordTable<TextEvaluated>& record();
};

std::string evaluation_in_words(const ImageResult& result);
std::string evaluation_in_words(const TextEvaluated& result);

}  // namespace bilens
