#include "bilens/data/tokenizer_training.h"

#include <sentencepiece_trainer.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <unordered_map>

#include "bilens/core/files.h"
#include "bilens/core/json.h"
#include "bilens/core/log.h"
#include "bilens/core/progress.h"
#include "bilens/core/stopwatch.h"

namespace bilens {

namespace {

constexpr size_t kLargestModel = size_t{256} << 20;

/// SentencePiece keeps places inside a word in 16 bits and ends the process where one does not fit; words of
/// half that length, such as 64,000 times the same letter, crash it.
constexpr size_t kLongestWord = 16'000;  // bytes, of which a character has one at least

/// The length of the text up to its first line end, or up to where a word becomes too long. A word begins
/// where a space follows none.
size_t line_length(std::string_view text) {
  size_t word = 0, i = 0;
  for (; i < text.size() && text[i] != '\n'; ++i) {
    if (text[i] == ' ' && i > 0 && text[i - 1] != ' ') word = i;
    const bool character_begins = (static_cast<unsigned char>(text[i]) & 0xC0) != 0x80;
    if (i - word >= kLongestWord && character_begins) break;
  }
  return i;
}

/// The lines of all stories, one after the other; words that are too long are cut.
class Lines : public sentencepiece::SentenceIterator {
 public:
  explicit Lines(const std::vector<std::string_view>& stories) : stories_(stories) { Next(); }

  bool done() const override { return done_; }
  const std::string& value() const override { return line_; }
  sentencepiece::util::Status status() const override { return {}; }

  void Next() override {
    while (rest_.empty()) {
      if (story_ == stories_.size()) {
        done_ = true;
        return;
      }
      rest_ = stories_[story_++];
    }
    const size_t end = line_length(rest_);
    line_ = rest_.substr(0, end);
    rest_.remove_prefix(end);
    if (rest_.starts_with('\n')) rest_.remove_prefix(1);
  }

 private:
  const std::vector<std::string_view>& stories_;
  size_t story_ = 0;
  std::string_view rest_;
  std::string line_;
  bool done_ = false;
};

size_t longest_line(const std::vector<std::string_view>& stories) {
  size_t longest = 10;  // the least that SentencePiece takes
  for (Lines lines(stories); !lines.done(); lines.Next()) longest = std::max(longest, lines.value().size());
  return longest;
}

/// Waits for the work, saying now and then that it goes on.
template <class Work>
void wait_for(std::future<Work>& work) {
  const Stopwatch watch;
  const auto interval = std::chrono::milliseconds(stderr_is_terminal() ? 100 : 10'000);
  while (work.wait_for(interval) != std::future_status::ready) {
    const std::string line = "merging pieces, " + format_duration(watch.seconds());
    if (stderr_is_terminal()) {
      set_status_line(line);
    } else {
      log_info(line);
    }
  }
  set_status_line("");
}

/// SentencePiece's message without its place in SentencePiece's source: what follows "[condition] ", or where
/// nothing does, the condition that did not hold.
std::string reason(const sentencepiece::util::Status& status) {
  const std::string text = status.ToString();
  const auto end = text.rfind("] ");
  if (end == std::string::npos) return text;
  const auto begin = text.find('[');
  auto message = text.substr(end + 2);
  message = message.substr(0, message.find(" or decrease character_coverage"));  // which we do not offer
  return message.empty() && begin < end ? "SentencePiece wants " + text.substr(begin + 1, end - begin - 1)
                                        : message;
}

}  // namespace

std::string train_tokenizer(const std::vector<std::string_view>& stories, int64_t vocabulary) {
  const std::unordered_map<std::string, std::string> settings = {
      {"model_type", "bpe"},
      {"vocab_size", std::to_string(vocabulary)},
      {"character_coverage", "0.99995"},
      {"normalization_rule_name", "identity"},
      {"remove_extra_whitespaces", "false"},
      {"add_dummy_prefix", "true"},
      {"split_digits", "true"},
      {"allow_whitespace_only_pieces", "true"},
      {"byte_fallback", "true"},
      {"max_sentence_length", std::to_string(longest_line(stories))},
      {"num_threads", "16"},  // stands in the file, and little of the work runs on them
      {"minloglevel", "3"}};
  Lines lines(stories);
  std::string model;
  auto training = std::async(std::launch::async, [&] {
    return sentencepiece::SentencePieceTrainer::Train(settings, &lines, &model);
  });
  wait_for(training);
  const auto status = training.get();
  if (!status.ok()) {
    throw Error(ExitCode::kUsage, {"vocabulary", "a size that the text allows",
                                   std::to_string(vocabulary) + ": " + reason(status), ""});
  }
  return model;
}

void save_tokenizer(const std::filesystem::path& directory, const std::string& model) {
  const Json config = {{"tokenizer_class", "LlamaTokenizer"},
                       {"bos_token", "<s>"},
                       {"eos_token", "</s>"},
                       {"unk_token", "<unk>"},
                       {"pad_token", nullptr},
                       {"add_bos_token", true},
                       {"add_eos_token", false},
                       {"clean_up_tokenization_spaces", false},
                       {"legacy", true},
                       {"sp_model_kwargs", Json::object()}};
  write_text(directory / "tokenizer.model", model);
  write_text(directory / "tokenizer_config.json", format_json(config));
}

void save_tokenizer(const std::filesystem::path& directory, const Tokenizer& tokenizer) {
  const auto files = tokenizer.files();
  const auto model = read_text(files[0], kLargestModel, ExitCode::kBadInput);
  if (files[0].extension() == ".json") {
    write_text(directory / "tokenizer.json", model);
  } else {
    save_tokenizer(directory, model);
  }
  std::vector<std::filesystem::path> beside(files.begin() + 1, files.end());
  beside.push_back(files[0].parent_path() / kChatTemplate);
  for (const auto& file : beside) {
    if (std::filesystem::exists(file))
      write_text(directory / file.filename(), read_text(file, kLargestModel, ExitCode::kBadInput));
  }
}

}  // namespace bilens
