#include "bilens/data/kept_tokens.h"

#include <ATen/ATen.h>

#include "bilens/io/safetensors.h"
#include "caught.h"
#include "temporary_folder.h"
#include "test_data.h"

namespace bilens::kept_tokens_test {
namespace {

constexpr const char* kVocabulary = "stories260K/tok512.model";

std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder) {
  const std::filesystem::directory_iterator files(folder);
  return {std::filesystem::begin(files), std::filesystem::end(files)};
}

TEST_CASE("the ids of a text are kept, and taken from there for the same text and tokenizer alone") {
  if (!test::have_test_data(kVocabulary)) return;
  const Tokenizer tokenizer(test::test_data_folder() / kVocabulary);
  const test::TemporaryFolder folder;
  test::write_file(folder / "t", "Once upon<|endoftext|>a time");
  TextDataConfig config;
  config.path = (folder / "t").string();
  const auto made = load_text(config, tokenizer);
  config.keep_in = (folder / "below/kept").string();
  const auto same = [&](const TokenStream& found) {
    return at::equal(found.ids, made.ids) && found.starts == made.starts;
  };
  CHECK(same(load_text(config, tokenizer, 1)));
  REQUIRE(files_in(config.keep_in).size() == 1);
  const auto file = files_in(config.keep_in).front();
  CHECK(same(load_text(config, tokenizer)));

  // What stands there is what is read.
  const auto starts = at::tensor(made.starts, at::kLong), others = at::zeros_like(made.ids);
  write_safetensors(file, {{"ids", others}, {"starts", starts}});
  CHECK(at::equal(load_text(config, tokenizer).ids, others));

  test::write_file(folder / "t", "Once upon<|endoftext|>a tame");
  CHECK(!at::equal(load_text(config, tokenizer).ids, others));
  CHECK(files_in(config.keep_in).size() == 2);
}

TEST_CASE("kept ids that are none are refused") {
  if (!test::have_test_data(kVocabulary)) return;
  const Tokenizer tokenizer(test::test_data_folder() / kVocabulary);
  const test::TemporaryFolder folder;
  test::write_file(folder / "t", "Once upon");
  TextDataConfig config;
  config.path = (folder / "t").string();
  config.keep_in = (folder / "kept").string();
  const auto made = load_text(config, tokenizer);
  const auto file = files_in(config.keep_in).front();
  const auto start = at::zeros({1}, at::kLong);
  const std::vector<NamedTensors> damaged = {
      {{"ids", at::full_like(made.ids, 512)}, {"starts", start}},
      {{"ids", made.ids.to(at::kInt)}, {"starts", start}},
      {{"ids", made.ids}, {"starts", start + 1}},
      {{"ids", made.ids}, {"starts", at::tensor({0L, 0L}, at::kLong)}},
      {{"ids", made.ids}, {"starts", start.to(at::kDouble)}},
      {{"ids", made.ids.narrow(0, 0, 0)}, {"starts", start}},
  };
  for (const auto& tensors : damaged) {
    write_safetensors(file, tensors);
    const auto error = test::caught([&] { load_text(config, tokenizer); });
    CHECK(error.code() == ExitCode::kBadInput);
    CHECK(test::contains(error.what(), "Remove the file"));
  }
}

}  // namespace
}  // namespace bilens::kept_tokens_test
