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

/// A line of the command: "  on 50,000 tokens: ...". @param summary of a layer (summarize_corpus)
std::string corpus_in_words(int64_t tokens, const Json& summary);

}  // namespace bilens
