#include "bilens/data/tokenizer.h"

#include <sentencepiece_processor.h>

#include "bilens/core/files.h"
#include "bilens/core/utf8.h"

namespace bilens {

namespace fs = std::filesystem;

struct Tokenizer::Model {
  fs::path path;
  sentencepiece::SentencePieceProcessor processor;
};

namespace {

constexpr size_t kMaxBytes = size_t{256} << 20;
constexpr const char* kFix = "Put the model's SentencePiece file, tokenizer.model, beside its weights.";

Error bad(const fs::path& path, const std::string& found, const std::string& fix = kFix) {
  return Error(ExitCode::kBadInput, {path.string(), "a SentencePiece model", found, fix});
}

/// The known tokenizer formats that are not read. @throws Error(kBadInput) for one of them.
void refuse_other_formats(const fs::path& file) {
  if (file.extension() == ".json") {
    throw bad(file,
              "a tokenizer.json of Hugging Face's tokenizers, a Rust library without a C++ counterpart");
  }
  if (file.extension() == ".bin") throw bad(file, "a tokenizer.bin of llama2.c: pieces without their kinds");
}

fs::path model_file(const fs::path& path) {
  if (!fs::exists(path)) {
    throw Error(ExitCode::kBadInput,
                {path.string(), "a SentencePiece model, or a folder with a tokenizer.model", "nothing there",
                 "`bilens tokenizer train` makes one from a text."});
  }
  if (!fs::is_directory(path)) return path;
  if (fs::exists(path / "tokenizer.model")) return path / "tokenizer.model";
  for (const char* name : {"tokenizer.json", "tokenizer.bin"}) {
    if (fs::exists(path / name)) refuse_other_formats(path / name);
  }
  throw bad(path, "no tokenizer.model in the folder");
}

}  // namespace

Tokenizer::Tokenizer(const fs::path& path) {
  auto model = std::make_shared<Model>();
  model->path = model_file(path);
  const std::string bytes = read_text(model->path, kMaxBytes, ExitCode::kBadInput);
  refuse_other_formats(model->path);
  const auto status = model->processor.LoadFromSerializedProto(bytes);
  if (!status.ok() || model->processor.GetPieceSize() == 0)
    throw bad(model->path, "another or a damaged file");
  model_ = std::move(model);
}

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<int> ids;
  const auto status = model_->processor.Encode(text, &ids);
  if (!status.ok()) throw bad(path(), status.ToString());
  return ids;
}

std::vector<int32_t> Tokenizer::encode_with_bos(std::string_view text) const {
  if (bos() < 0) {
    throw Error(ExitCode::kBadInput,
                {path().string(), "a tokenizer with a BOS token", "none", "Use another tokenizer."});
  }
  auto ids = encode(text);
  ids.insert(ids.begin(), bos());
  return ids;
}

std::string Tokenizer::decode(const std::vector<int32_t>& ids) const {
  for (const int32_t id : ids) piece(id);
  std::string text;
  const auto status = model_->processor.Decode(ids, &text);
  if (!status.ok()) throw bad(path(), status.ToString());
  return text;
}

int64_t Tokenizer::vocabulary_size() const { return model_->processor.GetPieceSize(); }
int32_t Tokenizer::bos() const { return model_->processor.bos_id(); }
int32_t Tokenizer::eos() const { return model_->processor.eos_id(); }
int32_t Tokenizer::unknown() const { return model_->processor.unk_id(); }

std::string Tokenizer::piece(int32_t id) const {
  if (id < 0 || id >= vocabulary_size()) {
    throw Error(ExitCode::kBadInput,
                {path().string(), "token ids from 0 to " + std::to_string(vocabulary_size() - 1),
                 std::to_string(id), "Use the tokenizer that belongs to the model."});
  }
  return model_->processor.IdToPiece(id);
}

int32_t Tokenizer::id_of(const std::string& piece) const {
  const int32_t id = model_->processor.PieceToId(piece);  // that of <unk> for what is none
  return model_->processor.IdToPiece(id) == piece ? id : -1;
}

int Tokenizer::byte_of(int32_t id) const {
  const std::string name = piece(id);  // "<0xNN>"
  return model_->processor.IsByte(id) ? std::stoi(name.substr(3, 2), nullptr, 16) : -1;
}

void Tokenizer::require_fits(int64_t vocabulary, const std::string& model) const {
  if (vocabulary_size() <= vocabulary) return;
  throw Error(
      ExitCode::kBadInput,
      {path().string(), "at most " + std::to_string(vocabulary) + " pieces, the vocabulary of " + model,
       std::to_string(vocabulary_size()), "Use the tokenizer that belongs to the model."});
}

const fs::path& Tokenizer::path() const { return model_->path; }

StreamingDecoder::StreamingDecoder(Tokenizer tokenizer) : tokenizer_(std::move(tokenizer)) {
  for (int32_t id = 0; id < tokenizer_.vocabulary_size() && anchor_text_.empty(); ++id) {
    if (tokenizer_.byte_of(id) >= 0) continue;
    anchor_ = {id};
    anchor_text_ = tokenizer_.decode(anchor_);
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
  const int byte = tokenizer_.byte_of(id);
  const bool continues = byte >= 0 && (byte & 0xC0) == 0x80;
  std::string text = continues ? "" : finish();
  if (byte < 0) return text += text_of({id});
  pending_.push_back(id);
  const auto lead = static_cast<unsigned char>(tokenizer_.byte_of(pending_.front()));
  if (pending_.size() >= utf8_length(lead)) text += finish();
  return text;
}

std::string StreamingDecoder::finish() {
  if (pending_.empty()) return "";
  return text_of(std::exchange(pending_, {}));
}

}  // namespace bilens
