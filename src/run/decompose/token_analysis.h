#pragma once

#include "bilens/analysis/results/decomposition.h"
#include "decompose_config.h"

namespace bilens {

/// What the eigenvectors of a language model's layers say in tokens, written into the decomposition directory
/// `out`: cards, the same for a layer whose gate and up units are paired at random, interactions.
/// @param source with its vocabulary
TokenStudy analyse_tokens(const LayerSource& source, const Decomposition& decomposition,
                          const DecomposeRunConfig& config, const std::filesystem::path& out);

/// Nearest tokens of the leading eigenvectors of a layer's first few directions, for the command's result.
Json summarize_tokens(const TokenStudy& study, const TokenLayer& tokens, const LayerDecomposition& layer);

/// One card of that summary: "  ▁he − ▁she: eigenvalue 0.31: ▁boy ▁him (0.52, quantile 1.000) | ▁girl ..."
std::string card_in_words(const Json& card);

}  // namespace bilens
