#pragma once

#include <string>

#include "bilens/records/record_table.h"

namespace bilens {

/// What `bilens tokenizer train --json` prints.
struct TokenizerResult {
  std::string out;
  int64_t vocabulary = 0, stories = 0, bytes = 0;

  static const RecordTable<TokenizerResult>& record();
};

}  // namespace bilens
