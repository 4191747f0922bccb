#include <algorithm>

#include "added_vocabulary.h"
#include "bilens/core/error.h"
#include "bilens/core/utf8.h"
#include "byte_alphabet.h"
#include "byte_pair_model.h"
#include "normalizer.h"
#include "piece_decoder.h"
#include "post_processor.h"
#include "pre_tokenizer.h"
#include "tokenizer_model.h"
#include "tokenizer_settings.h"
#include "unicode.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kShownSpace = "\xE2\x96\x81";  // U+2581

/// A byte as pieces show one that is no character: "<0x0A>".
std::string shown_byte(unsigned char byte) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  return std::string("<0x") + kHex[byte >> 4] + kHex[byte & 15] + ">";
}

/// Bytes as a piece is shown: text, with ▁ for spaces, and <0x0A> for control characters and what is no
/// UTF-8.
std::string show_bytes(std::string_view bytes) {
  std::string shown;
  while (!bytes.empty()) {
    const size_t valid = first_invalid_utf8(bytes).value_or(bytes.size());
    for (const char c : bytes.substr(0, valid)) {
      const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
      if (c == ' ') {
        shown += kShownSpace;
      } else {
        control ? shown += shown_byte(static_cast<unsigned char>(c)) : shown += c;
      }
    }
    bytes.remove_prefix(valid);
    if (bytes.empty()) break;
    shown += shown_byte(static_cast<unsigned char>(bytes[0]));
    bytes.remove_prefix(1);
  }
  return shown;
}

/// The bytes of a text, or of a piece as it is shown.
std::string unshow_bytes(std::string_view shown) {
  std::string bytes;
  while (!shown.empty()) {
    if (shown.starts_with(kShownSpace)) {
      bytes += ' ';
      shown.remove_prefix(kShownSpace.size());
      continue;
    }
    const bool hex = shown.size() >= 6 && shown.starts_with("<0x") && shown[5] == '>' &&
                     std::isxdigit(static_cast<unsigned char>(shown[3])) != 0 &&
                     std::isxdigit(static_cast<unsigned char>(shown[4])) != 0;
    bytes += hex ? static_cast<char>(std::stoi(std::string(shown.substr(3, 2)), nullptr, 16)) : shown[0];
    shown.remove_prefix(hex ? 6 : 1);
  }
  return bytes;
}

class JsonTokenizer : public TokenizerModel {
 public:
  explicit JsonTokenizer(const fs::path& file) : path_(file) {
    const Json json = read_json(file, ExitCode::kBadInput);
    const JsonPart part(json, file);
    part.require_object();
    if (const auto normalizer = part.find("normalizer")) normalizer_ = Normalizer(*normalizer);
    if (const auto pre = part.find("pre_tokenizer"))
      pre_tokenizer_ = PreTokenizer(*pre, normalizer_.keeps_beginning());
    model_ = std::make_shared<BytePairModel>(part.at("model"), pre_tokenizer_.gives_bytes());
    if (part.find("added_tokens")) added_ = AddedVocabulary(part.at("added_tokens"), *model_, normalizer_);
    if (const auto post = part.find("post_processor")) around_ = PostProcessor(*post);
    if (const auto decoder = part.find("decoder")) decoder_ = PieceDecoder(*decoder);
    require_known(part);
    if (file.filename() == "tokenizer.json") take_settings(TokenizerSettings(file.parent_path()));
    if (bos_ < 0 && !bos_named_ && around_.before.size() == 1) bos_ = around_.before[0];
    if (unknown_ < 0) unknown_ = model_->unknown();
  }

  std::vector<int32_t> encode(std::string_view text) const override;
  std::vector<int32_t> before_prompt() const override { return around_.before; }
  std::vector<int32_t> behind_prompt() const override { return around_.behind; }
  std::string decode(const std::vector<int32_t>& ids) const override { return decoder_(pieces_of(ids)); }
  bool unfinished(const std::vector<int32_t>& ids) const override {
    return decoder_.unfinished(pieces_of(ids));
  }

  int64_t vocabulary_size() const override {
    return std::max(model_->largest_id(), added_.largest_id()) + int64_t{1};
  }
  int64_t needed_size() const override { return model_->largest_id() + int64_t{1}; }
  int32_t bos() const override { return bos_; }
  int32_t eos() const override { return eos_; }
  int32_t unknown() const override { return unknown_; }

  std::optional<std::string> piece(int32_t id) const override {
    if (const auto* added = added_.find(id)) return added->content;
    const auto* piece = model_->piece(id);
    return piece ? std::optional(*piece) : std::nullopt;
  }

  std::string shown(int32_t id) const override {
    const auto name = piece(id).value_or("");
    if (!pre_tokenizer_.byte_level() || added_.find(id) != nullptr) return name;
    const auto bytes = from_byte_characters(name);
    return bytes ? show_bytes(*bytes) : name;
  }

  int32_t id_of(const std::string& piece) const override {
    const int32_t added = added_.id_of(piece);
    return added >= 0 ? added : model_->id_of(piece);
  }

  int32_t id_of_text(const std::string& text) const override {
    if (pre_tokenizer_.byte_level()) return model_->id_of(to_byte_characters(unshow_bytes(text)));
    std::string name;
    for (const char c : text) c == ' ' ? name += kShownSpace : name += c;
    const int32_t id = id_of(name);
    return id >= 0 ? id : id_of(text);
  }

  int byte_of(int32_t id) const override {
    const auto name = piece(id);
    if (!name || added_.find(id) != nullptr) return -1;
    const bool shown_as_byte = model_->falls_back_to_bytes() && name->size() == 6 && name->starts_with("<0x");
    const auto bytes = pre_tokenizer_.byte_level() ? from_byte_characters(*name)
                       : shown_as_byte             ? std::optional(unshow_bytes(*name))
                                                   : std::nullopt;
    return bytes && bytes->size() == 1 ? static_cast<unsigned char>((*bytes)[0]) : -1;
  }

  std::shared_ptr<const TokenizerModel> within(int64_t vocabulary,
                                               std::vector<std::string>& removed) const override {
    auto model = std::make_shared<JsonTokenizer>(*this);
    for (const auto& token : model->added_.remove_from(vocabulary, normalizer_))
      removed.push_back(token.content + " (" + std::to_string(token.id) + ")");
    if (removed.empty()) return nullptr;
    for (const auto* ids : {&around_.before, &around_.behind}) {
      for (const int32_t id : *ids) {
        if (id < vocabulary) continue;
        throw Error(ExitCode::kBadInput,
                    {path_.string() + ": post_processor",
                     "tokens of the model's vocabulary of " + std::to_string(vocabulary), std::to_string(id),
                     "Use the tokenizer that belongs to the model."});
      }
    }
    if (bos_ >= vocabulary) model->bos_ = -1;
    if (eos_ >= vocabulary) model->eos_ = -1;
    return model;
  }

  const fs::path& path() const override { return path_; }
  std::vector<fs::path> neighbours() const override { return neighbours_; }

 private:
  std::vector<std::string> pieces_of(const std::vector<int32_t>& ids) const {
    std::vector<std::string> pieces;
    for (const int32_t id : ids) {
      const auto* added = added_.find(id);
      if (added == nullptr || !added->special) pieces.push_back(piece(id).value_or(""));
    }
    return pieces;
  }

  /// The tokens around a text are tokens.
  void require_known(const JsonPart& part) const {
    for (const auto* ids : {&around_.before, &around_.behind}) {
      for (const int32_t id : *ids)
        if (!piece(id)) throw part.at("post_processor").wrong("ids of tokens", std::to_string(id));
    }
  }

  void take_settings(const TokenizerSettings& settings) {
    neighbours_ = settings.files;
    added_.take(settings.added, settings.added_where, *model_, normalizer_);
    const auto id_of_name = [&](const std::optional<std::string>& name) { return name ? id_of(*name) : -1; };
    bos_ = id_of_name(settings.bos);
    eos_ = id_of_name(settings.eos);
    unknown_ = id_of_name(settings.unknown);
    bos_named_ = settings.bos.has_value();
  }

  void append_part(std::string_view text, bool begins_text, std::vector<int32_t>& ids) const {
    for (const auto& piece : pre_tokenizer_(text, begins_text).pieces) model_->encode(piece.text, ids);
  }

  fs::path path_;
  std::vector<fs::path> neighbours_;
  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  std::shared_ptr<const BytePairModel> model_;
  AddedVocabulary added_;
  PostProcessor around_;
  PieceDecoder decoder_;
  int32_t bos_ = -1, eos_ = -1, unknown_ = -1;
  bool bos_named_ = false;
};

std::vector<int32_t> JsonTokenizer::encode(std::string_view text) const {
  std::string valid;
  if (first_invalid_utf8(text)) text = valid = replace_invalid_utf8(text);
  std::vector<int32_t> ids;
  for (const auto& part : added_.split(text, false)) {
    if (part.id >= 0) {
      ids.push_back(part.id);
      continue;
    }
    const bool begins_text = part.text.data() == text.data();
    std::string normal;
    std::string_view inner = part.text;
    if (!normalizer_.empty()) inner = normal = normalizer_(std::string(inner));
    for (const auto& late : added_.split(inner, true)) {
      if (late.id >= 0) {
        ids.push_back(late.id);
      } else {
        append_part(late.text, begins_text && late.text.data() == inner.data(), ids);
      }
    }
  }
  return ids;
}

}  // namespace

std::shared_ptr<const TokenizerModel> read_json_tokenizer(const fs::path& file) {
  return std::make_shared<JsonTokenizer>(file);
}

}  // namespace bilens
