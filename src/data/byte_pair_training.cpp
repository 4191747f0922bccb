#include <algorithm>
#include <queue>
#include <unordered_map>

#include "bilens/core/error.h"
#include "bilens/core/files.h"
#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/data/tokenizer_training.h"
#include "tokenizers/byte_alphabet.h"
#include "tokenizers/json_part.h"
#include "tokenizers/pre_tokenizer.h"

namespace bilens {

namespace {

constexpr size_t kLongestLearnt = 1000;  // bytes of a word: each merge reads the words that it is in

/// Qwen's, with each digit apart, as our SentencePiece models have them.
constexpr const char* kWords =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+)"
    R"(|\s+(?!\S)|\s+)";

struct CountedWord {
  std::vector<int32_t> ids;
  int64_t count = 0;
};

Json byte_level_part() {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
}

Json pre_tokenizer_part() {
  const Json split = {
      {"type", "Split"}, {"pattern", {{"Regex", kWords}}}, {"behavior", "Isolated"}, {"invert", false}};
  return {{"type", "Sequence"}, {"pretokenizers", Json::array({split, byte_level_part()})}};
}

/// How often each word stands in the stories, in an order that the stories alone decide.
std::vector<std::pair<std::string, int64_t>> count_words(const std::vector<std::string_view>& stories) {
  const Json part = pre_tokenizer_part();
  const PreTokenizer pre_tokenizer(JsonPart(part, std::string("pre_tokenizer")), true);
  std::unordered_map<std::string, int64_t> counts;
  Progress progress("counting words", static_cast<int64_t>(stories.size()), "stories");
  for (const auto story : stories) {
    if (stop_requested()) throw Stopped{};
    for (const auto& piece : pre_tokenizer(story, true).pieces)
      for (size_t at = 0; at < piece.text.size(); at += kLongestLearnt)
        ++counts[std::string(piece.text.substr(at, kLongestLearnt))];
    progress.advance(1);
  }
  std::vector<std::pair<std::string, int64_t>> words(counts.begin(), counts.end());
  std::sort(words.begin(), words.end());
  return words;
}

/// Learns merges: of all pairs of neighbours the most frequent, and of those as frequent the one of the
/// lowest ids, becomes a piece, again and again.
class MergeLearner {
 public:
  explicit MergeLearner(std::vector<CountedWord> words) : words_(std::move(words)) {
    for (size_t i = 0; i < words_.size(); ++i) {
      count_pairs(i, 1);
      for (const uint64_t pair : pairs_in(words_[i].ids)) add_place(pair, i);
    }
    for (const auto& [pair, count] : counts_) queue_.push({count, ~pair});
  }

  /// The next pair to merge; none where no two pieces stand beside each other any more.
  std::optional<std::pair<int32_t, int32_t>> next() {
    while (!queue_.empty()) {
      const auto [count, inverse] = queue_.top();
      queue_.pop();
      const uint64_t pair = ~inverse;
      const int64_t now = counts_[pair];
      if (now <= 0) continue;
      if (now != count) {  // it has become rarer since
        queue_.push({now, inverse});
        continue;
      }
      return std::pair(static_cast<int32_t>(pair >> 32), static_cast<int32_t>(pair & UINT32_MAX));
    }
    return std::nullopt;
  }

  void merge(int32_t left, int32_t right, int32_t id) {
    const uint64_t pair = pair_of(left, right);
    std::vector<uint64_t> anew;
    for (const size_t word : std::exchange(places_[pair], {})) {
      auto& ids = words_[word].ids;
      count_pairs(word, -1);
      size_t end = 0;
      for (size_t i = 0; i < ids.size(); ++i) {
        const bool found = i + 1 < ids.size() && pair_of(ids[i], ids[i + 1]) == pair;
        ids[end++] = found ? id : ids[i];
        if (found) ++i;
      }
      ids.resize(end);
      count_pairs(word, 1);
      for (size_t i = 0; i + 1 < ids.size(); ++i) {
        if (ids[i] != id && ids[i + 1] != id) continue;
        anew.push_back(pair_of(ids[i], ids[i + 1]));
        add_place(anew.back(), word);
      }
    }
    std::sort(anew.begin(), anew.end());
    anew.erase(std::unique(anew.begin(), anew.end()), anew.end());
    for (const uint64_t one : anew) queue_.push({counts_[one], ~one});
  }

 private:
  static uint64_t pair_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
  }

  static std::vector<uint64_t> pairs_in(const std::vector<int32_t>& ids) {
    std::vector<uint64_t> pairs;
    for (size_t i = 0; i + 1 < ids.size(); ++i) pairs.push_back(pair_of(ids[i], ids[i + 1]));
    return pairs;
  }

  void count_pairs(size_t word, int64_t sign) {
    const auto& [ids, count] = words_[word];
    for (const uint64_t pair : pairs_in(ids)) counts_[pair] += sign * count;
  }

  void add_place(uint64_t pair, size_t word) {
    auto& places = places_[pair];
    if (places.empty() || places.back() != word) places.push_back(word);
  }

  std::vector<CountedWord> words_;
  std::unordered_map<uint64_t, int64_t> counts_;
  std::unordered_map<uint64_t, std::vector<size_t>> places_;  // words that have had a pair
  std::priority_queue<std::pair<int64_t, uint64_t>> queue_;   // counts, and pairs with all bits turned
};

Json special_token(int32_t id, const char* content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

Json template_part() {
  const Json bos = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}};
  const auto text = [](const char* name, int type) {
    return Json{{"Sequence", {{"id", name}, {"type_id", type}}}};
  };
  return {{"type", "TemplateProcessing"},
          {"single", Json::array({bos, text("A", 0)})},
          {"pair", Json::array({bos, text("A", 0), text("B", 1)})},
          {"special_tokens",
           {{"<s>", {{"id", "<s>"}, {"ids", Json::array({0})}, {"tokens", Json::array({"<s>"})}}}}}};
}

}  // namespace

Json train_byte_level_tokenizer(const std::vector<std::string_view>& stories, int64_t vocabulary) {
  std::vector<std::string> pieces = {"<s>", "</s>"};
  std::vector<std::string> bytes;  // their characters, in the order of these
  for (unsigned byte = 0; byte < 256; ++byte)
    bytes.push_back(to_byte_characters(std::string(1, static_cast<char>(byte))));
  auto sorted = bytes;
  std::sort(sorted.begin(), sorted.end());
  pieces.insert(pieces.end(), sorted.begin(), sorted.end());
  std::vector<CountedWord> words;
  for (const auto& [text, count] : count_words(stories)) {
    CountedWord word{{}, count};
    for (const char c : text) {
      const auto& character = bytes[static_cast<unsigned char>(c)];
      const auto place = std::lower_bound(sorted.begin(), sorted.end(), character) - sorted.begin();
      word.ids.push_back(static_cast<int32_t>(2 + place));
    }
    words.push_back(std::move(word));
  }
  MergeLearner learner(std::move(words));
  Json merges = Json::array();
  std::unordered_map<std::string, int32_t> known;
  for (size_t i = 0; i < pieces.size(); ++i) known.emplace(pieces[i], static_cast<int32_t>(i));
  Progress progress("merging pieces", vocabulary, "pieces");
  progress.advance(static_cast<int64_t>(pieces.size()));
  while (static_cast<int64_t>(pieces.size()) < vocabulary) {
    if (stop_requested()) throw Stopped{};
    const auto merge = learner.next();
    if (!merge) {
      throw Error(ExitCode::kUsage,
                  {"--vocabulary", "at most " + std::to_string(pieces.size()) + ", all that the text gives",
                   std::to_string(vocabulary), "Lower it, or give more text."});
    }
    const auto& left = pieces[static_cast<size_t>(merge->first)];
    const auto& right = pieces[static_cast<size_t>(merge->second)];
    merges.push_back(Json::array({left, right}));
    // Another pair may have made the same piece.
    const auto [place, is_new] = known.emplace(left + right, static_cast<int32_t>(pieces.size()));
    learner.merge(merge->first, merge->second, place->second);
    if (!is_new) continue;
    pieces.push_back(place->first);
    progress.advance(1);
  }
  Json vocab = Json::object();
  auto& members = static_cast<Json::object_t::Container&>(vocab.get_ref<Json::object_t&>());
  for (size_t i = 0; i < pieces.size(); ++i) members.emplace_back(pieces[i], i);
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", Json::array({special_token(0, "<s>"), special_token(1, "</s>")})},
          {"normalizer", nullptr},
          {"pre_tokenizer", pre_tokenizer_part()},
          {"post_processor", template_part()},
          {"decoder", byte_level_part()},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", vocab},
            {"merges", merges}}}};
}

void save_json_tokenizer(const std::filesystem::path& directory, const Json& tokenizer) {
  const Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                       {"bos_token", "<s>"},
                       {"eos_token", "</s>"},
                       {"add_bos_token", true},
                       {"add_eos_token", false},
                       {"clean_up_tokenization_spaces", false}};
  write_text(directory / "tokenizer.json", format_json(tokenizer));
  write_text(directory / "tokenizer_config.json", format_json(config));
}

}  // namespace bilens
