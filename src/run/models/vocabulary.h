#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bilens/analysis/tokens/token_basis.h"
#include "bilens/data/token_name.h"
#include "bilens/data/tokenizer.h"
#include "language_model.h"

namespace bilens {

/// The tokens of a language model, as vectors of its residual stream and by name.
struct Vocabulary {
  std::string model;
  TokenBasis embedding;                // rows of E, centred
  TokenBasis unembedding;              // rows of H, times the last norm's gain γ where asked for, centred
  std::optional<Tokenizer> tokenizer;  // none: tokens go by their numbers
  std::vector<std::string> pieces =
      {};  // names of the first tokens, of a tokenizer that is not ours; or none

  int64_t size() const { return embedding.size(); }

  /// Takes the pieces of a tokenizer that is not ours. @throws Error(kBadInput) for more than there are
  /// tokens
  void name_by(std::vector<std::string> names);

  std::string name(int64_t id) const;  // see token_name
  std::vector<std::string> names() const;

  /// A token id, or a word or piece that is one token, as Tokenizer::id_of_word finds it. @param where names
  /// the word in messages
  /// @throws Error(kUsage) that shows the pieces of a word that is not one token; for an id beyond the
  /// vocabulary; for a word without a tokenizer
  int64_t id_of(const TokenName& token, const std::string& where) const;
};

/// The tokenizer at `path`, or where that is empty the one beside the model's weights, if there is one.
/// @throws Error(kBadInput) for one that is damaged or another model's
std::optional<Tokenizer> find_tokenizer(const LanguageModel& model, const std::filesystem::path& path);

/// The piece of a token as people read it, "▁cat"; "#17" without a tokenizer, or for an id that it leaves
/// free.
std::string token_name(const std::optional<Tokenizer>& tokenizer, int64_t id);

/// Names of the first tokens, which a tokenizer that is not ours gives. @throws Error(kBadInput) for more
/// than there are tokens
void require_pieces_fit(const std::vector<std::string>& pieces, int64_t vocabulary);

/// @param tokenizer of the model, if there is one
/// @param fold_norm folds the last norm's gain into the unembedding: logits are H(γ⊙h/rms(h))
/// @throws Error(kBadInput) for numbers that are not finite
Vocabulary read_vocabulary(const LanguageModel& model, std::optional<Tokenizer> tokenizer, bool fold_norm);

}  // namespace bilens
