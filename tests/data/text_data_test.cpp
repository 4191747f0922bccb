#include "bilens/data/text_data.h"

#include <ATen/ATen.h>

#include "caught.h"
#include "gzip_bytes.h"
#include "temporary_folder.h"
#include "test_data.h"

namespace bilens::text_data_test {
namespace {

using test::caught;
using test::contains;

constexpr const char* kSmall = "stories260K/tok512.model";
constexpr const char* kStories = "tinystories/tinystories-sample.txt.gz";

std::string refusal(const std::string& bytes) {
  const test::TemporaryFolder folder;
  test::write_file(folder / "t.txt", bytes);
  const auto error = caught([&] { read_utf8(folder / "t.txt"); });
  CHECK(error.code() == ExitCode::kBadInput);
  CHECK(contains(error.what(), "t.txt"));
  return error.what();
}

TEST_CASE("stories are what stands between the separators, stripped, empty ones left out") {
  using Stories = std::vector<std::string_view>;
  CHECK(split_stories("") == Stories{});
  CHECK(split_stories(" \n<|endoftext|>\n<|endoftext|> ") == Stories{});
  CHECK(split_stories("one story\n") == Stories{"one story"});
  CHECK(split_stories("a\n\nb <|endoftext|>\nc<|endoftext|>") == Stories{"a\n\nb", "c"});
  CHECK(split_stories("a<|endoftext|><|endoftext|>b<|endoftext") == Stories{"a", "b<|endoftext"});
}

TEST_CASE("a story's part is its hash's") {
  // hashlib.sha256(story).hexdigest()[:8] as a number modulo 20, by Python.
  CHECK(part_of_story("abc") == TextSplit::kTrain);  // ba7816bf: 3128432319 mod 20 = 19
  CHECK(part_of_story("story 2") == TextSplit::kTest);
  CHECK(part_of_story("story 1") == TextSplit::kTrain);
  CHECK(part_of_story("story 9") == TextSplit::kValidation);
}

TEST_CASE("text is read plain and compressed; what is no text is named") {
  const test::TemporaryFolder folder;
  const std::string text = "na\xC3\xAFve <|endoftext|> \xF0\x9F\x98\x80\n";
  test::write_file(folder / "plain", text);
  test::write_file(folder / "packed.gz", test::gzip(text));
  CHECK(read_utf8(folder / "plain") == text);
  CHECK(read_utf8(folder / "packed.gz") == text);
  CHECK(contains(refusal(""), "expected text, found an empty file"));
  CHECK(contains(refusal("\n \n<|endoftext|>\n"), "an empty file"));
  CHECK(contains(refusal("ab\xFF"), "expected UTF-8, found other bytes, the first at byte 2"));
  CHECK(contains(refusal(test::gzip(text + "\xC3")), "the first at byte " + std::to_string(text.size())));
  const std::string whole = test::gzip(std::string(100'000, 'a') + text);
  CHECK(contains(refusal(whole.substr(0, whole.size() - 9)), "a truncated one"));
  CHECK(contains(caught([&] { read_utf8(folder / "none"); }).what(), "nothing there"));
  CHECK(contains(caught([&] { read_utf8(folder.path()); }).what(), "a folder"));
}

TEST_CASE("a byte-order mark is left out, and every line end is one character") {
  const test::TemporaryFolder folder;
  const auto read = [&](const std::string& bytes) {
    test::write_file(folder / "t", bytes);
    return read_utf8(folder / "t");
  };
  CHECK(read("\xEF\xBB\xBFOnce\r\nupon\ra\n\r\ntime\r\r\n") == "Once\nupon\na\n\ntime\n\n");
  CHECK(read(test::gzip("\xEF\xBB\xBFOnce\r\n")) == "Once\n");
  CHECK(read("a\xEF\xBB\xBFz") == "a\xEF\xBB\xBFz");  // elsewhere it is a character
  CHECK(contains(refusal("\xEF\xBB\xBF\r\n"), "an empty file"));
}

TEST_CASE("BOS stands before each story, and nothing else is added") {
  if (!test::have_test_data(kSmall)) return;
  const Tokenizer tokenizer(test::test_data_folder() / kSmall);
  const test::TemporaryFolder folder;
  test::write_file(folder / "t", "Once upon\n<|endoftext|>\n a time <|endoftext|>");
  TextDataConfig config;
  config.path = (folder / "t").string();
  const auto stream = load_text(config, tokenizer);
  CHECK(stream.ids.scalar_type() == at::kUInt16);
  std::vector<int32_t> expected = tokenizer.encode_document("Once upon");
  const auto second = static_cast<int64_t>(expected.size());
  for (const int32_t id : tokenizer.encode_document("a time")) expected.push_back(id);
  CHECK(at::equal(stream.ids.to(at::kInt), at::tensor(expected, at::kInt)));
  CHECK(stream.starts == std::vector<int64_t>{0, second});
  CHECK(at::equal(load_text(config, tokenizer, 1).ids, stream.ids));  // a block of stories at least
  config.split = TextSplit::kTest;
  const auto error = caught([&] { load_text(config, tokenizer); });
  CHECK(error.code() == ExitCode::kBadInput);
  CHECK(contains(error.what(), "at least one story of the chosen part"));
}

TEST_CASE("the parts of TinyStories have the published sizes") {
  if (!test::have_test_data(kStories) || !test::have_test_data(kSmall)) return;
  const Tokenizer tokenizer(test::test_data_folder() / kSmall);
  TextDataConfig config;
  config.path = (test::test_data_folder() / kStories).string();
  const auto count = [&](TextSplit split) {
    config.split = split;
    return load_text(config, tokenizer).size();
  };
  const int64_t test = count(TextSplit::kTest), validation = count(TextSplit::kValidation),
                train = count(TextSplit::kTrain);
  CHECK(count(TextSplit::kAll) == test + validation + train);
  config.split = TextSplit::kTrain;
  const auto all = load_text(config, tokenizer), start = load_text(config, tokenizer, 100000);
  REQUIRE(start.size() >= 100000);
  CHECK(start.size() < all.size());
  CHECK(at::equal(start.ids, all.ids.narrow(0, 0, start.size())));
  CHECK(std::equal(start.starts.begin(), start.starts.end(), all.starts.begin()));
  // By a Python script of five lines over sentencepiece.
  CHECK(test == 142258);
  CHECK(validation == 135902);
  CHECK(train == 2630810);
}

}  // namespace
}  // namespace bilens::text_data_test
