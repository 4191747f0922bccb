#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bilens/model/stored_model.h"
#include "bilens/records/decomposition.h"
#include "bilens/records/token_record.h"

namespace bilens {

/// The model behind a decomposition, and how its tokens are named.
struct TokenCardsOptions {
  StoredModel model;
  std::optional<int64_t> nearest;   // tokens on each side; nothing: as the decomposition's config says
  std::filesystem::path tokenizer;  // empty: the one beside the model's weights, if any
  std::vector<std::string> pieces =
      {};  // names of the first tokens, of a tokenizer that is not ours; or none
};

/// The cards of a decomposition's eigenvectors as the study of tokens has them, without its controls by
/// permuted units and without interactions.
/// @throws Error(kBadInput) for a model that is no language model or was not decomposed there; Error(kUsage)
/// for a decomposition without eigenpairs; Stopped
TokenStudy find_token_cards(const Decomposition& decomposition, const TokenCardsOptions& options);

}  // namespace bilens
