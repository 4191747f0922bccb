#pragma once

#include <functional>
#include <string>

#include "bilens/data/text_data.h"
#include "bilens/model/decoder.h"

namespace bilens {

/// A part of a text as a study reads it: consecutive windows of `context` tokens, the last of at least 2.
struct TextWindows {
  const TokenStream& stream;
  int64_t first = 0, tokens = 0;  // of the stream
  int64_t context = 0;
  Packing packing = Packing::kDocuments;

  /// Tokens that have a next one in their window: as many as all batches' inputs.
  int64_t predicted() const;

  /// Calls `body` for some windows at a time, with what a forward pass has to know of their documents;
  /// shows progress under this name. @throws Stopped
  void each(const std::string& name,
            const std::function<void(const TokenBatch& batch, ForwardOptions options)>& body) const;
};

}  // namespace bilens
