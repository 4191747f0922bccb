#pragma once

#include <functional>
#include <string>
#include <vector>

#include "json_part.h"

namespace bilens {

/// The decoder of a tokenizer.json: ByteLevel, ByteFallback, Fuse, Strip, Replace, Metaspace, Sequence.
/// Without one, pieces are joined by spaces.
class PieceDecoder {
 public:
  PieceDecoder() = default;
  /// @throws Error(kBadInput) for another kind, or a wrong field
  explicit PieceDecoder(const JsonPart& part);

  std::string operator()(std::vector<std::string> pieces) const;

  /// Whether the text of more pieces begins with the text of fewer, up to a character that is not finished:
  /// then it may be shown as it comes.
  bool streams() const { return streams_; }
  /// Whether the text of these pieces may yet change where more follow: their last character is not finished.
  bool unfinished(const std::vector<std::string>& pieces) const;

 private:
  using Step = std::function<void(std::vector<std::string>&)>;
  void add(const JsonPart& part);

  std::vector<Step> steps_;
  bool streams_ = true, byte_level_ = false, byte_fallback_ = false, fused_ = false;
};

}  // namespace bilens
