#pragma once

#include "bilens/analysis/results/decomposition.h"
#include "bilens/study/corpus_study.h"
#include "decompose_config.h"
#include "models/corpus.h"

namespace bilens {

/// What the eigenpairs of a language model's layers contribute on text, written into the decomposition
/// directory `out`.
CorpusStudy analyse_corpus(const LayerSource& source, const Decomposition& decomposition,
                           const DecomposeRunConfig& config, const Corpus& corpus,
                           const std::filesystem::path& out);

/// A line of the command: "  on 50,000 tokens: ...". @param summary of a layer (summarize_corpus)
std::string corpus_in_words(int64_t tokens, const Json& summary);

}  // namespace bilens
