#pragma once

#include <string>

#include "bilens/records/record_table.h"

namespace bilens {

/// What `bilens evaluate --json` prints of an image classifier.
struct ImagesEvaluated {
  std::string model;
  int64_t examples = 0;
  double loss = 0, accuracy = 0;

  static const RecordTable<ImagesEvaluated>& record();
};

/// What it prints of a language model.
struct TextEvaluated {
  std::string model;
  int64_t tokens = 0;
  double loss = 0, perplexity = 0;
  int64_t context = 0;

  static const RecordTable<TextEvaluated>& record();
};

std::string evaluation_in_words(const ImagesEvaluated& result);
std::string evaluation_in_words(const TextEvaluated& result);

}  // namespace bilens
