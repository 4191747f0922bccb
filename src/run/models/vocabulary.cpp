#include "vocabulary.h"

#include <ATen/ATen.h>

#include "bilens/tensor/shape.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

std::string quoted_pieces(const Tokenizer& tokenizer, const std::string& word) {
  std::vector<std::string> pieces;
  for (const int32_t id : tokenizer.encode(word)) pieces.push_back("\"" + tokenizer.shown(id) + "\"");
  return pieces.empty() ? "nothing" : join(pieces);
}

}  // namespace

std::optional<Tokenizer> find_tokenizer(const LanguageModel& model, const fs::path& path) {
  if (path.empty() && !has_tokenizer(model)) return std::nullopt;
  return open_tokenizer(model, path);
}

std::string token_name(const std::optional<Tokenizer>& tokenizer, int64_t id) {
  const bool has_piece = tokenizer && tokenizer->has(static_cast<int32_t>(id));
  return has_piece ? tokenizer->shown(static_cast<int32_t>(id)) : "#" + std::to_string(id);
}

void require_pieces_fit(const std::vector<std::string>& pieces, int64_t vocabulary) {
  if (static_cast<int64_t>(pieces.size()) <= vocabulary) return;
  throw Error(ExitCode::kBadInput,
              {"tokenizer", "at most the " + std::to_string(vocabulary) + " tokens of the model",
               std::to_string(pieces.size()), "It may be another model's."});
}

void Vocabulary::name_by(std::vector<std::string> names) {
  require_pieces_fit(names, size());
  pieces = std::move(names);
}

std::string Vocabulary::name(int64_t id) const {
  const bool named = id < static_cast<int64_t>(pieces.size());
  return named ? pieces[static_cast<size_t>(id)] : token_name(tokenizer, id);
}

std::vector<std::string> Vocabulary::names() const {
  std::vector<std::string> names;
  for (int64_t id = 0; id < size(); ++id) names.push_back(name(id));
  return names;
}

int64_t Vocabulary::id_of(const TokenName& token, const std::string& where) const {
  if (const auto* number = std::get_if<int64_t>(&token)) {
    if (*number >= 0 && *number < size()) return *number;
    throw Error(ExitCode::kUsage, {where, "a token of " + model + ", from 0 to " + std::to_string(size() - 1),
                                   std::to_string(*number), ""});
  }
  const auto& word = std::get<std::string>(token);
  if (!tokenizer) {
    throw Error(ExitCode::kUsage, {where, "a token's number, because " + model + " has no tokenizer",
                                   "\"" + word + "\"", "Or name one in \"tokenizer\"."});
  }
  const int32_t id = word.empty() ? -1 : tokenizer->id_of_word(word);
  if (id >= 0) return id;
  throw Error(ExitCode::kUsage,
              {where, "one token", "\"" + word + "\", which is " + quoted_pieces(*tokenizer, word),
               "Give one of its pieces, or another word."});
}

Vocabulary read_vocabulary(const LanguageModel& model, std::optional<Tokenizer> tokenizer, bool fold_norm) {
  const auto& weights = model.weights();
  const auto embedding = weights.tensor("model.embed_tokens.weight");
  const auto head = model.config.tie_word_embeddings ? embedding : weights.tensor("lm_head.weight");
  const auto gain = fold_norm ? model.gain("model.norm.weight") : at::Tensor();
  const auto name = model.path().string();
  Vocabulary vocabulary{name, TokenBasis(embedding), TokenBasis(head, gain), std::move(tokenizer)};
  require_finite(vocabulary.embedding.norms(), name + ": embedding");
  require_finite(vocabulary.unembedding.norms(), name + ": unembedding");
  return vocabulary;
}

}  // namespace bilens
