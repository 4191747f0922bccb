#pragma once

#include <cstdint>
#include <vector>

#include "json_part.h"

namespace bilens {

/// The post-processor of a tokenizer.json, TemplateProcessing, ByteLevel or Sequence: the tokens that it puts
/// around a text.
struct PostProcessor {
  std::vector<int32_t> before, behind;

  PostProcessor() = default;
  /// @throws Error(kBadInput) for another kind, a wrong field, a template that names a token that it does not
  /// know, or that has the text not once
  explicit PostProcessor(const JsonPart& part);

 private:
  void add_template(const JsonPart& part);
};

}  // namespace bilens
