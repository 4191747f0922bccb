#include "text_parts.h"

#include <limits>

#include "bilens/data/token_file.h"

namespace bilens {

void check_training_text(const TextDataConfig& data, const std::string& where, bool has_tokenizer,
                         bool knows_documents) {
  std::vector<Problem> problems;
  const auto needed = [&](const char* key, const std::string& expected, const char* fix) {
    problems.push_back({key_path(where, key), expected, "none", fix});
  };
  if (data.path.empty()) needed("path", "a text or token file", "Name the file.");
  if (!has_tokenizer && data.dataset == TextSet::kText) {
    needed("tokenizer", "a SentencePiece model or a tokenizer.json",
           "Name one, or make one of the text with `bilens tokenizer train`.");
  }
  if (!knows_documents && data.dataset == TextSet::kTokens && data.packing == Packing::kDocuments) {
    needed("tokenizer", "the tokenizer of the ids, to know where documents begin",
           "Name it, or the token with data.document_token or model.bos_token_id (50256 in GPT-2's files), "
           "or set data.packing=plain.");
  }
  if (data.split != TextSplit::kAll && data.split != TextSplit::kTrain) {
    problems.push_back({key_path(where, "split"), "\"all\" or \"train\"", "a part that is held back",
                        "\"all\" trains on one part, validates and tests on the others; \"train\" leaves "
                        "these out."});
  }
  if (!problems.empty()) throw Error(ExitCode::kUsage, problems);
}

TextParts load_text_parts(const TextDataConfig& data, const std::optional<Tokenizer>& tokenizer,
                          int64_t vocabulary, const std::vector<int64_t>& begins_document,
                          int64_t validation_tokens) {
  const auto part = [&](TextSplit split, int64_t enough = std::numeric_limits<int64_t>::max()) {
    auto one = data;
    one.split = split;
    const auto all = one.dataset == TextSet::kText ? load_text(one, *tokenizer, enough)
                                                   : load_token_file(one, vocabulary, begins_document);
    return first_tokens(all, enough);
  };
  TextParts parts;
  parts.train = part(TextSplit::kTrain);
  const bool held_back = data.dataset == TextSet::kText || data.held_out > 0;
  if (data.split == TextSplit::kAll && held_back) {
    parts.validation = part(TextSplit::kValidation, validation_tokens);
    parts.test = part(TextSplit::kTest);
  }
  return parts;
}

int64_t sequences_of_epoch(const TokenStream& text, const TextDataConfig& data, const TextTrainConfig& train,
                           const std::string& where) {
  const TrainingWindows windows(text.size(), data.context, 1, 0, data.path);
  const int64_t sequences = windows.windows_per_epoch();
  std::vector<Problem> problems;
  train.check(where, sequences, "sequences", train.total_steps(sequences), problems);
  if (!problems.empty()) throw Error(ExitCode::kUsage, problems);
  return sequences;
}

std::vector<std::filesystem::path> text_files(const TextDataConfig& data,
                                              const std::optional<Tokenizer>& tokenizer) {
  std::vector<std::filesystem::path> files = {data.path};
  if (tokenizer)
    for (const auto& file : tokenizer->files()) files.push_back(file);
  return files;
}

}  // namespace bilens
