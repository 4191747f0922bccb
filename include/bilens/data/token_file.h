#pragma once

#include "bilens/data/text_data.h"

namespace bilens {

/// Reads `tokens:` data, mapped, not copied: after llm.c's header (magic 20240520, version 1: uint16; magic
/// 20240801, version 7: uint32) or without one little-endian uint16, or uint32 where the vocabulary exceeds
/// 65,536. Of the tokens the last `held_out` share is test, the share before it validation.
/// @param bos the id that begins a document; -1: all is one document
/// @throws Error(kBadInput): missing, a size that does not fit, an id ≥ vocabulary (with its position), an
/// empty part.
/// Source: llm.c, dev/data/data_common.py
TokenStream load_token_file(const TextDataConfig& config, int64_t vocabulary, int64_t bos);

}  // namespace bilens
