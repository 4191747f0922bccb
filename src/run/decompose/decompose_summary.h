#pragma once

#include <filesystem>
#include <optional>

#include "bilens/analysis/results/decomposition.h"
#include "bilens/study/corpus_study.h"
#include "bilens/study/token_study.h"

namespace bilens {

/// The command's result for one model. @param tokens, corpus of the analyses that were made
/// @param seconds that it took
Json summarize_decomposition(const std::filesystem::path& model, const std::filesystem::path& out,
                             const Decomposition& decomposition, const std::optional<TokenStudy>& tokens,
                             const std::optional<CorpusStudy>& corpus, double seconds);

/// That result as the command prints it.
std::string decomposition_in_words(const Json& result);

}  // namespace bilens
