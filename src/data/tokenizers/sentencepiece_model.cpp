#include <sentencepiece_processor.h>

#include <algorithm>

#include "bilens/core/error.h"
#include "bilens/core/files.h"
#include "bilens/core/utf8.h"
#include "bilens/data/added_tokens.h"
#include "tokenizer_model.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581, as SentencePiece writes a space
constexpr size_t kLargestFile = size_t{256} << 20;

using Processor = sentencepiece::SentencePieceProcessor;

Error bad_model(const fs::path& path, const std::string& found) {
  return Error(ExitCode::kBadInput,
               {path.string(), "a SentencePiece model", found,
                "Put the model's tokenizer.model or tokenizer.json beside its weights."});
}

std::shared_ptr<const Processor> load_processor(const std::string& bytes, const fs::path& file) {
  auto processor = std::make_shared<Processor>();
  const auto status = processor->LoadFromSerializedProto(bytes);
  if (!status.ok() || processor->GetPieceSize() == 0) throw bad_model(file, "another or a damaged file");
  return processor;
}

/// -1 for what is no piece, of which PieceToId gives that of <unk>.
int32_t id_of_piece(const Processor& pieces, const std::string& name) {
  const int32_t id = pieces.PieceToId(name);
  return id >= 0 && pieces.IdToPiece(id) == name ? id : -1;
}

/// <unk>, <s>, </s> and the like.
std::vector<AddedToken> special_pieces(const Processor& pieces) {
  std::vector<AddedToken> special;
  for (int32_t id = 0; id < pieces.GetPieceSize(); ++id)
    if (pieces.IsControl(id) || pieces.IsUnknown(id)) special.push_back({pieces.IdToPiece(id), id});
  return special;
}

class SentencePieceModel : public TokenizerModel {
 public:
  explicit SentencePieceModel(const fs::path& file) : path_(file) {
    const std::string bytes = read_text(file, kLargestFile, ExitCode::kBadInput);
    pieces_ = load_processor(bytes, file);
    if (file.filename() == "tokenizer.model") {
      added_ = AddedTokens(file.parent_path(), special_pieces(*pieces_),
                           [&](const std::string& name) { return id_of_piece(*pieces_, name); });
    }
    if (added_.empty()) return;
    // Appended to the serialized model, these set normalizer_spec's remove_extra_whitespaces and
    // add_dummy_prefix to false.
    prefixed_ = load_processor(bytes + std::string("\x1A\x02\x20\0", 4), file);
    inside_ = load_processor(bytes + std::string("\x1A\x04\x18\0\x20\0", 6), file);
    for (int id = 0; id < pieces_->GetPieceSize() && anchor_text_.empty(); ++id) {
      if (pieces_->IsByte(id)) continue;
      anchor_ = id;
      anchor_text_ = pieces_->DecodeIds({id});
    }
  }

  std::vector<int32_t> encode(std::string_view text) const override;
  std::vector<int32_t> before_prompt() const override {
    if (!added_.begins_with_bos()) return {};
    if (bos() >= 0) return {bos()};
    throw Error(ExitCode::kBadInput,
                {path_.string(), "a tokenizer with a BOS token", "none", "Use another tokenizer."});
  }
  std::string decode(const std::vector<int32_t>& ids) const override;

  bool unfinished(const std::vector<int32_t>& ids) const override {
    std::string bytes;  // of the byte pieces at the end
    for (auto id = ids.rbegin(); id != ids.rend() && byte_of(*id) >= 0; ++id)
      bytes.insert(bytes.begin(), static_cast<char>(byte_of(*id)));
    return unfinished_utf8(bytes) > 0;
  }

  int64_t vocabulary_size() const override {
    int64_t size = pieces_->GetPieceSize();
    for (const auto& token : added_.tokens()) size = std::max<int64_t>(size, token.id + 1);
    return size;
  }
  int64_t needed_size() const override { return pieces_->GetPieceSize(); }
  int32_t bos() const override { return added_.bos().value_or(pieces_->bos_id()); }
  int32_t eos() const override { return added_.eos().value_or(pieces_->eos_id()); }
  int32_t unknown() const override { return pieces_->unk_id(); }

  std::optional<std::string> piece(int32_t id) const override {
    if (is_piece(id)) return pieces_->IdToPiece(id);
    if (const auto* added = added_.find(id)) return added->content;
    return std::nullopt;
  }
  std::string shown(int32_t id) const override { return piece(id).value_or(""); }
  int32_t id_of(const std::string& piece) const override {
    const int32_t added = added_.id_of(piece);
    return added >= 0 ? added : id_of_piece(*pieces_, piece);
  }
  int32_t id_of_text(const std::string& text) const override {
    std::string name;
    for (const char c : text) c == ' ' ? name += kSpace : name += c;
    return id_of(name);
  }
  int byte_of(int32_t id) const override {
    return is_piece(id) && pieces_->IsByte(id) ? std::stoi(pieces_->IdToPiece(id).substr(3, 2), nullptr, 16)
                                               : -1;
  }

  std::shared_ptr<const TokenizerModel> within(int64_t vocabulary,
                                               std::vector<std::string>& removed) const override {
    auto model = std::make_shared<SentencePieceModel>(*this);
    for (const auto& token : model->added_.remove_from(vocabulary))
      removed.push_back(token.content + " (" + std::to_string(token.id) + ")");
    return removed.empty() ? nullptr : model;
  }

  const fs::path& path() const override { return path_; }
  std::vector<fs::path> neighbours() const override { return added_.files(); }

 private:
  /// Whether an id is a SentencePiece piece by the same name, rather than an added token or none.
  bool is_piece(int32_t id) const {
    if (id < 0 || id >= pieces_->GetPieceSize()) return false;
    const auto* added = added_.find(id);
    return added == nullptr || added->content == pieces_->IdToPiece(id);
  }

  fs::path path_;
  std::shared_ptr<const Processor> pieces_;
  // Where added tokens part a text, white space beside them stays: with and without a space put in front.
  std::shared_ptr<const Processor> prefixed_, inside_;
  AddedTokens added_;
  // A piece with a text stands for "some text before", because SentencePiece takes a space off the beginning.
  int anchor_ = 0;
  std::string anchor_text_;
};

std::vector<int32_t> SentencePieceModel::encode(std::string_view text) const {
  std::vector<int32_t> ids;
  const auto append = [&](const Processor& pieces, std::string_view part) {
    std::vector<int> more;
    const auto status = pieces.Encode(part, &more);
    if (!status.ok()) throw bad_model(path_, status.ToString());
    ids.insert(ids.end(), more.begin(), more.end());
  };
  const auto parts = added_.split(text);
  if (parts.size() == 1 && parts[0].id < 0) {
    append(*pieces_, text);
    return ids;
  }
  for (const auto& part : parts) {
    const bool has_space = part.text.starts_with(' ') || part.text.starts_with(kSpace);
    const bool prefix = part.text.data() == text.data() || (added_.prefix_behind() && !has_space);
    if (part.id >= 0) {
      ids.push_back(part.id);
    } else {
      append(prefix ? *prefixed_ : *inside_, part.text);
    }
  }
  return ids;
}

std::string SentencePieceModel::decode(const std::vector<int32_t>& ids) const {
  std::string text;
  std::vector<int> pieces;
  bool inside = false;
  const auto flush = [&] {
    if (inside) pieces.insert(pieces.begin(), anchor_);
    std::string part;
    const auto status = pieces_->Decode(pieces, &part);
    if (!status.ok()) throw bad_model(path_, status.ToString());
    text += inside ? part.substr(anchor_text_.size()) : part;
    pieces.clear();
  };
  for (const int32_t id : ids) {
    if (is_piece(id)) {
      pieces.push_back(id);
      continue;
    }
    flush();
    text += shown(id);
    inside = true;
  }
  flush();
  return text;
}

}  // namespace

std::shared_ptr<const TokenizerModel> read_sentencepiece_model(const fs::path& file) {
  return std::make_shared<SentencePieceModel>(file);
}

}  // namespace bilens
