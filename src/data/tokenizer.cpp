#include "bilens/data/tokenizer.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include "bilens/core/error.h"
#include "bilens/core/log.h"
#include "tokenizers/tokenizer_model.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr const char* kModelFile = "tokenizer.model";
constexpr const char* kJsonFile = "tokenizer.json";
constexpr const char* kFix = "Put the model's tokenizer.model or tokenizer.json beside its weights.";

Error no_tokenizer(const fs::path& path, const std::string& found) {
  return Error(ExitCode::kBadInput,
               {path.string(), "a SentencePiece model or a tokenizer.json", found, kFix});
}

/// By the byte that a SentencePiece model begins with: Meta's Llama 3 calls a list of tiktoken's
/// tokenizer.model too.
bool is_sentencepiece(const fs::path& file) { return std::ifstream(file, std::ios::binary).get() == '\n'; }

fs::path find_file(const fs::path& path) {
  if (!fs::exists(path)) {
    throw Error(ExitCode::kBadInput,
                {path.string(), "a SentencePiece model, a tokenizer.json, or a folder with one",
                 "nothing there", "`bilens tokenizer train` makes one from a text."});
  }
  if (!fs::is_directory(path)) return path;
  if (fs::exists(path / kJsonFile) && !is_sentencepiece(path / kModelFile)) return path / kJsonFile;
  for (const char* name : {kModelFile, "tokenizer.bin"})
    if (fs::exists(path / name)) return path / name;
  throw no_tokenizer(path, "neither in the folder");
}

std::shared_ptr<const TokenizerModel> read_model(const fs::path& file) {
  if (file.extension() == ".json") return read_json_tokenizer(file);
  if (file.extension() == ".bin")
    throw no_tokenizer(file, "a tokenizer.bin of llama2.c: pieces without their kinds");
  return read_sentencepiece_model(file);
}

}  // namespace

bool Tokenizer::is_beside(const fs::path& folder) {
  return fs::exists(folder / kModelFile) || fs::exists(folder / kJsonFile);
}

Tokenizer::Tokenizer(const fs::path& path) : model_(read_model(find_file(path))) {}

std::vector<int32_t> Tokenizer::encode(std::string_view text) const { return model_->encode(text); }

std::vector<int32_t> Tokenizer::encode_document(std::string_view text) const {
  const int32_t begin = bos() >= 0 ? bos() : eos();
  if (begin < 0) {
    throw Error(ExitCode::kBadInput,
                {path().string(), "a tokenizer with a BOS or EOS token", "none", "Use another tokenizer."});
  }
  auto ids = encode(text);
  ids.insert(ids.begin(), begin);
  return ids;
}

std::vector<int32_t> Tokenizer::encode_prompt(std::string_view text) const {
  auto ids = model_->before_prompt();
  for (const auto& more : {encode(text), model_->behind_prompt()})
    ids.insert(ids.end(), more.begin(), more.end());
  if (ids.empty()) {
    throw Error(ExitCode::kBadInput,
                {path().string(), "a prompt of at least one token", "an empty one",
                 "Give a text: this tokenizer puts no BOS before a prompt, so nothing else begins it."});
  }
  return ids;
}

std::string Tokenizer::decode(const std::vector<int32_t>& ids) const {
  for (const int32_t id : ids) piece(id);  // all are known
  return model_->decode(ids);
}

bool Tokenizer::unfinished(const std::vector<int32_t>& ids) const { return model_->unfinished(ids); }

int64_t Tokenizer::vocabulary_size() const { return model_->vocabulary_size(); }
int32_t Tokenizer::bos() const { return model_->bos(); }
int32_t Tokenizer::eos() const { return model_->eos(); }
int32_t Tokenizer::unknown() const { return model_->unknown(); }

bool Tokenizer::has(int32_t id) const { return model_->piece(id).has_value(); }

std::string Tokenizer::piece(int32_t id) const {
  if (const auto piece = model_->piece(id)) return *piece;
  throw Error(ExitCode::kBadInput,
              {path().string(), "token ids from 0 to " + std::to_string(vocabulary_size() - 1),
               std::to_string(id), "Use the tokenizer that belongs to the model."});
}

std::string Tokenizer::shown(int32_t id) const {
  piece(id);  // is known
  return model_->shown(id);
}

int32_t Tokenizer::id_of(const std::string& piece) const { return model_->id_of(piece); }

int32_t Tokenizer::id_of_word(const std::string& word) const {
  const bool spaced = word.starts_with(' ') || word.starts_with("\xE2\x96\x81");
  const int32_t begins_word = model_->id_of_text(spaced ? word : " " + word);
  if (begins_word >= 0) return begins_word;
  const int32_t exact = id_of(word);
  return exact >= 0 ? exact : model_->id_of_text(word);
}

int Tokenizer::byte_of(int32_t id) const {
  piece(id);  // is known
  return model_->byte_of(id);
}

void Tokenizer::require_fits(int64_t vocabulary, const std::string& model) const {
  const int64_t pieces = model_->needed_size();
  if (pieces <= vocabulary) return;
  throw Error(
      ExitCode::kBadInput,
      {path().string(), "at most " + std::to_string(vocabulary) + " pieces, the vocabulary of " + model,
       std::to_string(pieces), "Use the tokenizer that belongs to the model."});
}

Tokenizer Tokenizer::within(int64_t vocabulary) const {
  std::vector<std::string> removed;
  auto model = model_->within(vocabulary, removed);
  if (!model) return *this;
  log_warning(path().string() + ": the model has no token " + join(removed) + " beyond its vocabulary of " +
              std::to_string(vocabulary) + "; that text is text like any other");
  return Tokenizer(std::move(model));
}

const fs::path& Tokenizer::path() const { return model_->path(); }

std::vector<fs::path> Tokenizer::files() const {
  std::vector<fs::path> files = {path()};
  const auto beside = model_->neighbours();
  files.insert(files.end(), beside.begin(), beside.end());
  return files;
}

StreamingDecoder::StreamingDecoder(Tokenizer tokenizer) : tokenizer_(std::move(tokenizer)) {
  const auto is_plain = [](const std::string& text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
      return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
    });
  };
  for (int32_t id = 0; id < tokenizer_.vocabulary_size() && anchor_text_.empty(); ++id) {
    if (!tokenizer_.has(id) || tokenizer_.unfinished({id})) continue;
    const auto text = tokenizer_.decode({id});
    if (is_plain(text)) anchor_ = {id}, anchor_text_ = text;
  }
}

std::string StreamingDecoder::text_of(const std::vector<int32_t>& ids) {
  auto all = started_ ? anchor_ : start_;
  all.insert(all.end(), ids.begin(), ids.end());
  std::string text = tokenizer_.decode(all);
  if (started_) return text.substr(anchor_text_.size());
  started_ = !text.empty();
  start_ = std::move(all);
  return text;
}

std::string StreamingDecoder::next(int32_t id) {
  tokenizer_.piece(id);  // is known
  pending_.push_back(id);
  return anchor_.empty() || tokenizer_.unfinished(pending_) ? "" : finish();
}

std::string StreamingDecoder::finish() {
  if (pending_.empty()) return "";
  return text_of(std::exchange(pending_, {}));
}

}  // namespace bilens
