#include "bilens/data/tokenizer.h"

#include <sentencepiece_processor.h>

#include <algorithm>

#include "bilens/core/files.h"
#include "bilens/core/log.h"
#include "bilens/core/utf8.h"
#include "bilens/data/added_tokens.h"

namespace bilens {

namespace fs = std::filesystem;

struct Tokenizer::Model {
  using Processor = sentencepiece::SentencePieceProcessor;

  fs::path path;
  std::shared_ptr<const Processor> pieces;
  // Where added tokens part a text, white space beside them stays: with and without a space put in front.
  std::shared_ptr<const Processor> prefixed, inside;
  AddedTokens added;
  // A piece with a text stands for "some text before", because SentencePiece takes a space off the beginning.
  int anchor = 0;
  std::string anchor_text;
};

namespace {

constexpr const char* kModelFile = "tokenizer.model";
constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581, as SentencePiece writes a space
constexpr size_t kMaxBytes = size_t{256} << 20;
constexpr const char* kFix = "Put the model's SentencePiece file, tokenizer.model, beside its weights.";

Error bad_tokenizer(const fs::path& path, const std::string& found, const std::string& fix = kFix) {
  return Error(ExitCode::kBadInput, {path.string(), "a SentencePiece model", found, fix});
}

/// The known tokenizer formats that are not read. @throws Error(kBadInput) for one of them.
void refuse_other_formats(const fs::path& file) {
  if (file.extension() == ".json") {
    throw bad_tokenizer(
        file, "a tokenizer.json of Hugging Face's tokenizers, a Rust library without a C++ counterpart");
  }
  if (file.extension() == ".bin")
    throw bad_tokenizer(file, "a tokenizer.bin of llama2.c: pieces without their kinds");
}

fs::path model_file(const fs::path& path) {
  if (!fs::exists(path)) {
    throw Error(ExitCode::kBadInput,
                {path.string(), "a SentencePiece model, or a folder with a tokenizer.model", "nothing there",
                 "`bilens tokenizer train` makes one from a text."});
  }
  if (!fs::is_directory(path)) return path;
  if (fs::exists(path / kModelFile)) return path / kModelFile;
  for (const char* name : {"tokenizer.json", "tokenizer.bin"}) {
    if (fs::exists(path / name)) refuse_other_formats(path / name);
  }
  throw bad_tokenizer(path, "no tokenizer.model in the folder");
}

std::shared_ptr<const sentencepiece::SentencePieceProcessor> load_processor(const std::string& bytes,
                                                                            const fs::path& file) {
  auto processor = std::make_shared<sentencepiece::SentencePieceProcessor>();
  const auto status = processor->LoadFromSerializedProto(bytes);
  if (!status.ok() || processor->GetPieceSize() == 0) throw bad_tokenizer(file, "another or a damaged file");
  return processor;
}

/// -1 for what is no piece, of which PieceToId gives that of <unk>.
int32_t id_of_piece(const sentencepiece::SentencePieceProcessor& pieces, const std::string& name) {
  const int32_t id = pieces.PieceToId(name);
  return id >= 0 && pieces.IdToPiece(id) == name ? id : -1;
}

/// <unk>, <s>, </s> and the like.
std::vector<AddedToken> special_pieces(const sentencepiece::SentencePieceProcessor& pieces) {
  std::vector<AddedToken> special;
  for (int32_t id = 0; id < pieces.GetPieceSize(); ++id)
    if (pieces.IsControl(id) || pieces.IsUnknown(id)) special.push_back({pieces.IdToPiece(id), id});
  return special;
}

}  // namespace

Tokenizer::Tokenizer(const fs::path& path) {
  auto model = std::make_shared<Model>();
  model->path = model_file(path);
  const std::string bytes = read_text(model->path, kMaxBytes, ExitCode::kBadInput);
  refuse_other_formats(model->path);
  model->pieces = load_processor(bytes, model->path);
  if (model->path.filename() == kModelFile) {
    model->added = AddedTokens(model->path.parent_path(), special_pieces(*model->pieces),
                               [&](const std::string& name) { return id_of_piece(*model->pieces, name); });
  }
  if (!model->added.empty()) {
    // Appended to the serialized model, these set normalizer_spec's remove_extra_whitespaces and
    // add_dummy_prefix to false.
    model->prefixed = load_processor(bytes + std::string("\x1A\x02\x20\0", 4), model->path);
    model->inside = load_processor(bytes + std::string("\x1A\x04\x18\0\x20\0", 6), model->path);
    for (int id = 0; id < model->pieces->GetPieceSize() && model->anchor_text.empty(); ++id) {
      if (model->pieces->IsByte(id)) continue;
      model->anchor = id;
      model->anchor_text = model->pieces->DecodeIds({id});
    }
  }
  model_ = std::move(model);
}

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<int32_t> ids;
  const auto append = [&](const Model::Processor& pieces, std::string_view part) {
    std::vector<int> more;
    const auto status = pieces.Encode(part, &more);
    if (!status.ok()) throw bad_tokenizer(path(), status.ToString());
    ids.insert(ids.end(), more.begin(), more.end());
  };
  const auto& added = model_->added;
  const auto parts = added.split(text);
  if (parts.size() == 1 && parts[0].id < 0) {
    append(*model_->pieces, text);
    return ids;
  }
  for (const auto& part : parts) {
    const bool has_space = part.text.starts_with(' ') || part.text.starts_with(kSpace);
    const bool prefix = part.text.data() == text.data() || (added.prefix_behind() && !has_space);
    if (part.id >= 0) {
      ids.push_back(part.id);
    } else {
      append(prefix ? *model_->prefixed : *model_->inside, part.text);
    }
  }
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

std::vector<int32_t> Tokenizer::encode_prompt(std::string_view text) const {
  if (model_->added.begins_with_bos()) return encode_with_bos(text);
  auto ids = encode(text);
  if (ids.empty()) {
    throw Error(ExitCode::kBadInput,
                {path().string(), "a prompt of at least one token", "an empty one",
                 "Give a text: this tokenizer's add_bos_token is false, so nothing else begins the prompt."});
  }
  return ids;
}

std::string Tokenizer::decode(const std::vector<int32_t>& ids) const {
  std::string text;
  std::vector<int> pieces;
  bool inside = false;
  const auto flush = [&] {
    if (inside) pieces.insert(pieces.begin(), model_->anchor);
    std::string part;
    const auto status = model_->pieces->Decode(pieces, &part);
    if (!status.ok()) throw bad_tokenizer(path(), status.ToString());
    text += inside ? part.substr(model_->anchor_text.size()) : part;
    pieces.clear();
  };
  for (const int32_t id : ids) {
    const auto name = piece(id);
    if (is_piece(id)) {
      pieces.push_back(id);
      continue;
    }
    flush();
    text += name;
    inside = true;
  }
  flush();
  return text;
}

int64_t Tokenizer::vocabulary_size() const {
  int64_t size = model_->pieces->GetPieceSize();
  for (const auto& token : model_->added.tokens()) size = std::max<int64_t>(size, token.id + 1);
  return size;
}

int32_t Tokenizer::bos() const { return model_->added.bos().value_or(model_->pieces->bos_id()); }
int32_t Tokenizer::eos() const { return model_->added.eos().value_or(model_->pieces->eos_id()); }
int32_t Tokenizer::unknown() const { return model_->pieces->unk_id(); }

bool Tokenizer::is_piece(int32_t id) const {
  if (id < 0 || id >= model_->pieces->GetPieceSize()) return false;
  const auto* added = model_->added.find(id);
  return added == nullptr || added->content == model_->pieces->IdToPiece(id);
}

std::string Tokenizer::piece(int32_t id) const {
  if (is_piece(id)) return model_->pieces->IdToPiece(id);
  if (const auto* added = model_->added.find(id)) return added->content;
  throw Error(ExitCode::kBadInput,
              {path().string(), "token ids from 0 to " + std::to_string(vocabulary_size() - 1),
               std::to_string(id), "Use the tokenizer that belongs to the model."});
}

int32_t Tokenizer::id_of(const std::string& piece) const {
  const int32_t added = model_->added.id_of(piece);
  return added >= 0 ? added : id_of_piece(*model_->pieces, piece);
}

int Tokenizer::byte_of(int32_t id) const {
  const std::string name = piece(id);  // "<0xNN>"
  return is_piece(id) && model_->pieces->IsByte(id) ? std::stoi(name.substr(3, 2), nullptr, 16) : -1;
}

void Tokenizer::require_fits(int64_t vocabulary, const std::string& model) const {
  const int64_t pieces = model_->pieces->GetPieceSize();
  if (pieces <= vocabulary) return;
  throw Error(
      ExitCode::kBadInput,
      {path().string(), "at most " + std::to_string(vocabulary) + " pieces, the vocabulary of " + model,
       std::to_string(pieces), "Use the tokenizer that belongs to the model."});
}

Tokenizer Tokenizer::within(int64_t vocabulary) const {
  auto model = std::make_shared<Model>(*model_);
  const auto removed = model->added.remove_from(vocabulary);
  if (removed.empty()) return *this;
  std::vector<std::string> names;
  for (const auto& token : removed) names.push_back(token.content + " (" + std::to_string(token.id) + ")");
  log_warning(path().string() + ": the model has no token " + join(names) + " beyond its vocabulary of " +
              std::to_string(vocabulary) + "; that text is text like any other");
  return Tokenizer(std::move(model));
}

const fs::path& Tokenizer::path() const { return model_->path; }

std::vector<fs::path> Tokenizer::files() const {
  std::vector<fs::path> files = {path()};
  const auto& beside = model_->added.files();
  files.insert(files.end(), beside.begin(), beside.end());
  return files;
}

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
