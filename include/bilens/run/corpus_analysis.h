#pragma once

#include "bilens/analysis/decomposition.h"
#include "bilens/run/decompose_config.h"
#include "bilens/run/language_model.h"
#include "bilens/study/corpus_study.h"

namespace bilens {

/// The text of the analysis "corpus", and the model that reads it.
struct Corpus {
  LanguageModel model;
  TextDataConfig data;
  TokenStream stream;
};

/// @param data_spec text:FILE or tokens:FILE; empty: the config's "data", or what the run beside the model
/// trained on, its validation part
/// @throws Error(kUsage, kBadInput): no text, no language model
Corpus open_corpus(const std::filesystem::path& model, const DecomposeRunConfig& config,
                   const std::string& data_spec);

/// What the eigenpairs of a language model's layers contribute on text, written into the decomposition
/// directory `out`.
CorpusStudy analyse_corpus(const LayerSource& source, const Decomposition& decomposition,
                           const DecomposeRunConfig& config, const Corpus& corpus,
                           const std::filesystem::path& out);

/// Shares and R² of a layer, mean over its directions, for the command's result.
Json summarize_corpus(const CorpusStudy& study, const CorpusLayer& layer);

/// "  on 50,000 tokens: ..." of that summary.
std::string corpus_in_words(const Json& summary);

}  // namespace bilens
