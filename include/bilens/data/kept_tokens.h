#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "bilens/data/text_data.h"
#include "bilens/data/token_stream.h"
#include "bilens/data/tokenizer.h"

namespace bilens {

/// The token ids of a text in a file, for the next run. The file's name says of which text they are, of which
/// part, and by which tokenizer and version of bilens, by SHA-256: after a change of any of these another
/// file is looked for.
class KeptTokens {
 public:
  /// @param config with its folder in `keep_in`, which is made where it is missing
  /// @throws Error(kBadInput): the text or the tokenizer cannot be read
  KeptTokens(const TextDataConfig& config, const Tokenizer& tokenizer);

  /// The ids, mapped, not copied; none where they were not kept yet.
  /// @throws Error(kBadInput): a damaged file
  std::optional<TokenStream> find() const;
  /// Writes tensors `ids` and `starts`, as TokenStream has them, whole or not at all.
  void keep(const TokenStream& stream) const;

 private:
  std::filesystem::path file_;
  int64_t vocabulary_;
};

}  // namespace bilens
