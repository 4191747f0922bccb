#pragma once

#include <vector>

#include "bilens/data/text_data.h"

namespace bilens {

/// The ids that begin a document: the config's document_token, else BOS, else (as in GPT-2's files, where
/// <|endoftext|> stands between documents) each EOS.
std::vector<int64_t> tokens_that_begin_documents(const TextDataConfig& config, std::optional<int64_t> bos,
                                                 const std::vector<int64_t>& eos);

/// Reads `tokens:` data as its header, `dtype` or the vocabulary says (data/token_layout.h); ids of 2 and 4
/// bytes are mapped, not copied. Of the tokens the last `held_out` share is test, the share before it
/// validation.
/// @param begins_document the ids that begin a document; none: all is one
/// @throws Error(kBadInput): as read_token_layout, an id below 0 or ≥ vocabulary (with its position), an
/// empty part.
TokenStream load_token_file(const TextDataConfig& config, int64_t vocabulary,
                            const std::vector<int64_t>& begins_document);

}  // namespace bilens
