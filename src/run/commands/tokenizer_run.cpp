#include "bilens/run/tokenizer_run.h"

#include <cinttypes>
#include <functional>

#include "bilens/core/files.h"
#include "bilens/core/memory.h"
#include "bilens/core/text.h"
#include "bilens/data/text_data.h"
#include "bilens/data/tokenizer_training.h"
#include "models/data_spec.h"
#include "tokenizer_result.h"

namespace bilens {

namespace {

constexpr int64_t kLeastVocabulary = 260;  // <unk>, <s>, </s> and the 256 bytes, and a character
// What training takes beside the text itself (measured).
constexpr int64_t kTrainingMemory = 17'000'000, kMemoryPerByte = 3;

void check(const TokenizerRunOptions& options) {
  std::vector<Problem> problems;
  if (options.data.empty())
    problems.push_back({"--data", "text:FILE", "none", "Give the text to learn from."});
  if (!options.vocabulary)
    problems.push_back({"--vocabulary", "a number of pieces", "none", "4096 is usual."});
  if (options.vocabulary && *options.vocabulary < kLeastVocabulary) {
    problems.push_back({"--vocabulary", "at least " + std::to_string(kLeastVocabulary),
                        std::to_string(*options.vocabulary),
                        "3 special tokens, 256 bytes and the text's characters need a place."});
  }
  if (options.out.empty()) problems.push_back({"--out", "a folder", "none", "Name the tokenizer's folder."});
  if (!options.out.empty() && !is_empty_directory(options.out)) {
    problems.push_back(
        {options.out.string(), "an empty or new folder", "files in it", "Name another folder with --out."});
  }
  if (!problems.empty()) throw Error(ExitCode::kUsage, problems);
}

/// The stories of the file that the spec names. @param text receives what they are views of
std::vector<std::string_view> read_stories(const std::string& spec, std::string& text) {
  const auto config = parse_text_spec(spec);
  if (config.dataset != TextSet::kText)
    throw Error(ExitCode::kUsage, {"--data", "text:FILE", "\"" + spec + "\"", "Tokens are no text."});
  text = read_utf8(config.path);
  return split_stories(text);
}

}  // namespace

const RecordTable<TokenizerResult>& TokenizerResult::record() {
  using R = TokenizerResult;
  static const auto table =
      RecordTable<R>()
          .field("out", &R::out, "Folder of the tokenizer.")
          .field("vocabulary", &R::vocabulary, "How many pieces it has.", "pieces")
          .field("stories", &R::stories, "How many stories it has learnt from.", "stories")
          .field("bytes", &R::bytes, "Size of their file's text.", "bytes");
  return table;
}

Outcome run_tokenizer_training(const TokenizerRunOptions& options) {
  Outcome outcome;
  std::string text;
  if (options.dry_run) {
    collect_problems(outcome, [&] { check(options); });
    if (!options.data.empty()) collect_problems(outcome, [&] { read_stories(options.data, text); });
    auto& estimate = outcome.estimate.emplace();
    estimate.memory_bytes =
        peak_memory() + kTrainingMemory + kMemoryPerByte * static_cast<int64_t>(text.size());
    estimate.disk_bytes = (options.byte_level ? 70 : 24) * options.vocabulary.value_or(0);
    estimate.seconds.reset();
    return outcome;
  }
  check(options);
  const auto stories = read_stories(options.data, text);
  const auto train = [&]() -> std::function<void(const std::filesystem::path&)> {
    if (options.byte_level) {
      return [model = train_byte_level_tokenizer(stories, *options.vocabulary)](const auto& directory) {
        save_json_tokenizer(directory, model);
      };
    }
    return [model = train_tokenizer(stories, *options.vocabulary)](const auto& directory) {
      save_tokenizer(directory, model);
    };
  };
  const auto save = train();
  AtomicDirectory folder(options.out);
  save(folder.path());
  const int64_t pieces = Tokenizer(folder.path()).vocabulary_size();
  folder.commit();
  const TokenizerResult result{options.out.string(), pieces, static_cast<int64_t>(stories.size()),
                               static_cast<int64_t>(text.size())};
  outcome.results.push_back(result.record().write(result));
  outcome.text = format("%" PRId64 " pieces from %" PRId64 " stories\n", result.vocabulary, result.stories) +
                 result.out + "\n";
  return outcome;
}

}  // namespace bilens
