#include "bilens/data/text_data.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "bilens/core/memory.h"
#include "bilens/core/progress.h"
#include "bilens/core/sha256.h"
#include "bilens/core/stop.h"
#include "bilens/core/utf8.h"
#include "bilens/data/kept_tokens.h"
#include "bilens/data/token_layout.h"
#include "bilens/io/gzip.h"

namespace bilens {

namespace {

constexpr std::string_view kSeparator = "<|endoftext|>";
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr size_t kBlock = 2048;  // stories encoded between two looks at the progress

const std::vector<std::pair<std::string, TextSet>>& text_sets() {
  static const std::vector<std::pair<std::string, TextSet>> names = {{"text", TextSet::kText},
                                                                     {"tokens", TextSet::kTokens}};
  return names;
}

const std::vector<std::pair<std::string, TextSplit>>& splits() {
  static const std::vector<std::pair<std::string, TextSplit>> names = {{"all", TextSplit::kAll},
                                                                       {"train", TextSplit::kTrain},
                                                                       {"validation", TextSplit::kValidation},
                                                                       {"test", TextSplit::kTest}};
  return names;
}

std::vector<std::pair<std::string, std::optional<at::ScalarType>>> dtypes() {
  std::vector<std::pair<std::string, std::optional<at::ScalarType>>> names = {{"auto", std::nullopt}};
  names.insert(names.end(), token_dtypes().begin(), token_dtypes().end());
  return names;
}

Json document_token_schema() {
  Json schema = integer_schema(
      "Id of the token that begins a document of a token file; null: BOS, or without one EOS, as in GPT-2's.",
      at_least(0), "");
  schema["type"] = Json::array({"integer", "null"});
  return schema;
}

/// Each \r\n and \r becomes \n.
void unify_line_ends(std::string& text) {
  char before = 0;
  size_t end = 0;
  for (const char character : text) {
    if (character != '\n' || before != '\r') text[end++] = character == '\r' ? '\n' : character;
    before = character;
  }
  text.resize(end);
}

/// Appends the tokens of stories [begin, end) to the stream's documents; returns their ids.
at::Tensor encode_block(const std::vector<std::string_view>& stories, size_t begin, size_t end,
                        const Tokenizer& tokenizer, std::vector<int64_t>& lengths) {
  std::vector<std::vector<int32_t>> encoded(end - begin);
  at::parallel_for(0, static_cast<int64_t>(encoded.size()), 32, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      encoded[i] = tokenizer.encode_document(stories[begin + static_cast<size_t>(i)]);
    }
  });
  int64_t total = 0;
  for (const auto& ids : encoded) {
    lengths.push_back(static_cast<int64_t>(ids.size()));
    total += lengths.back();
  }
  auto ids = at::empty({total}, id_type(tokenizer.vocabulary_size()));
  for (int64_t offset = 0; const auto& story : encoded) {
    const auto part = ids.narrow(0, offset, static_cast<int64_t>(story.size()));
    part.copy_(at::from_blob(const_cast<int32_t*>(story.data()), part.sizes(), at::kInt));
    offset += part.size(0);
  }
  return ids;
}

}  // namespace

std::string set_name(TextSet set) {
  const auto found = std::find_if(text_sets().begin(), text_sets().end(),
                                  [&](const auto& named) { return named.second == set; });
  return found->first;
}

std::string split_name(TextSplit split) {
  const auto found = std::find_if(splits().begin(), splits().end(),
                                  [&](const auto& named) { return named.second == split; });
  return found->first;
}

const FieldTable<TextDataConfig>& TextDataConfig::fields() {
  using C = TextDataConfig;
  static const FieldTable<C> fields =
      FieldTable<C>("The text, and how it becomes sequences of tokens.")
          .choice("dataset", &C::dataset, "Text, or token ids: plain, .npy or after llm.c's header.",
                  text_sets())
          .text("path", &C::path,
                "The file; text may be gzip-compressed, <|endoftext|> separates its stories.")
          .text("tokenizer", &C::tokenizer,
                "SentencePiece model, tokenizer.json, or a folder with one; empty: the model's own.")
          .text("keep_in", &C::keep_in,
                "Folder that keeps a text's token ids for the next run, beside the hash of what they are of; "
                "\"\": none.")
          .integer("context", &C::context, "Longest sequence.", at_least(2), "tokens")
          .choice("split", &C::split,
                  "Which part: of text by the stories' hashes (1/20 test, 1/20 validation), of token files "
                  "from the end.",
                  splits())
          .choice(
              "packing", &C::packing,
              "What attention sees of a sequence with several stories in it: each its own, or all before.",
              {{"documents", Packing::kDocuments}, {"plain", Packing::kPlain}})
          .number("held_out", &C::held_out,
                  "Share of a token file's end that is test, and share before it that is validation.",
                  between(0.0, 0.45))
          .choice(
              "dtype", &C::dtype,
              "What a token file without a header holds; \"auto\": uint16, or uint32 where the vocabulary "
              "exceeds 65,536.",
              dtypes())
          .value_or("document_token", &C::document_token, nullptr, document_token_schema());
  return fields;
}

std::vector<std::string_view> split_stories(std::string_view text) {
  std::vector<std::string_view> stories;
  while (true) {
    const size_t end = text.find(kSeparator);
    const auto story = strip(text.substr(0, end));
    if (!story.empty()) stories.push_back(story);
    if (end == std::string_view::npos) return stories;
    text.remove_prefix(end + kSeparator.size());
  }
}

TextSplit part_of_story(std::string_view story) {
  Sha256 hash;
  hash.update(story.data(), story.size());
  const auto number = std::stoul(hash.hex().substr(0, 8), nullptr, 16);
  return number % 20 == 0 ? TextSplit::kTest : number % 20 == 1 ? TextSplit::kValidation : TextSplit::kTrain;
}

std::string read_utf8(const std::filesystem::path& path) {
  auto text = read_plain_or_gzip(path, "a text file", available_memory() / 4);
  const auto bad = [&](const std::string& expected, const std::string& found, const std::string& fix) {
    return Error(ExitCode::kBadInput, {path.string(), expected, found, fix});
  };
  if (const auto offset = first_invalid_utf8(text)) {
    throw bad("UTF-8", "other bytes, the first at byte " + std::to_string(*offset),
              "Convert it, for example with iconv -t UTF-8.");
  }
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  unify_line_ends(text);
  if (split_stories(text).empty()) throw bad("text", "an empty file", "Give a file with text.");
  return text;
}

namespace {

/// All of load_text() but what is kept.
TokenStream encode_text(const TextDataConfig& config, const Tokenizer& tokenizer, int64_t enough) {
  const std::string text = read_utf8(config.path);
  auto stories = split_stories(text);
  if (config.split != TextSplit::kAll)
    std::erase_if(stories, [&](std::string_view story) { return part_of_story(story) != config.split; });
  if (stories.empty()) {
    throw Error(
        ExitCode::kBadInput,
        {config.path, "at least one story of the chosen part", "none",
         config.split == TextSplit::kAll ? "Use a longer text." : "Use a longer text, or another split."});
  }
  Progress progress("tokenizing", static_cast<int64_t>(stories.size()), "stories");
  std::vector<at::Tensor> blocks;
  std::vector<int64_t> lengths;
  int64_t tokens = 0;
  for (size_t begin = 0; begin < stories.size() && tokens < enough; begin += kBlock) {
    if (stop_requested()) throw Stopped{};
    const size_t end = std::min(begin + kBlock, stories.size());
    blocks.push_back(encode_block(stories, begin, end, tokenizer, lengths));
    tokens += blocks.back().size(0);
    progress.advance(static_cast<int64_t>(end - begin));
  }
  TokenStream stream{at::cat(blocks), {}};
  for (int64_t start = 0; const int64_t length : lengths) {
    stream.starts.push_back(start);
    start += length;
  }
  return stream;
}

}  // namespace

TokenStream load_text(const TextDataConfig& config, const Tokenizer& tokenizer, int64_t enough) {
  if (config.keep_in.empty()) return encode_text(config, tokenizer, enough);
  const KeptTokens kept(config, tokenizer);
  if (auto found = kept.find()) return *found;
  auto stream = encode_text(config, tokenizer, std::numeric_limits<int64_t>::max());
  kept.keep(stream);
  return stream;
}

}  // namespace bilens
