#include "bilens/data/token_file.h"

#include <ATen/ATen.h>

#include "caught.h"
#include "temporary_folder.h"
#include "token_files.h"

namespace bilens::token_file_test {
namespace {

using test::caught;
using test::contains;
using test::little_endian;
using test::load_tokens;

/// llm.c's header: 256 numbers, of which three are used.
std::string header(uint32_t magic, uint32_t version, uint32_t count) {
  std::vector<int64_t> numbers(256, 0);
  numbers[0] = magic, numbers[1] = version, numbers[2] = count;
  return little_endian(numbers, 4);
}

std::string refusal(const std::string& bytes, int64_t vocabulary, const TextDataConfig& config = {}) {
  const auto error = caught([&] { load_tokens(bytes, vocabulary, config); });
  CHECK(error.code() == ExitCode::kBadInput);
  CHECK(contains(error.what(), "t.bin"));
  return error.what();
}

TEST_CASE("headerless files hold uint16, or uint32 where the vocabulary needs it") {
  const std::vector<int64_t> ids = {1, 7, 65535, 1, 8};
  const auto expected = at::tensor({1, 7, 65535, 1, 8}, at::kInt);
  const auto narrow = load_tokens(little_endian(ids, 2), 65536);
  CHECK(at::equal(narrow.ids, expected));
  CHECK(narrow.starts == std::vector<int64_t>{0, 3});
  const auto wide = load_tokens(little_endian(ids, 4), 65537);
  CHECK(at::equal(wide.ids, expected));
  CHECK(at::equal(load_tokens(little_endian({70000, 3}, 4), 128256).ids, at::tensor({70000, 3}, at::kInt)));
}

TEST_CASE("a file that does not begin with BOS begins with a document all the same") {
  CHECK(load_tokens(little_endian({5, 6, 1, 7}, 2), 10).starts == std::vector<int64_t>{0, 2});
}

TEST_CASE("llm.c's headers are known") {
  const auto expected = at::tensor({1, 2, 3}, at::kInt);
  CHECK(at::equal(load_tokens(header(20240520, 1, 3) + little_endian({1, 2, 3}, 2), 50257).ids, expected));
  CHECK(at::equal(load_tokens(header(20240801, 7, 3) + little_endian({1, 2, 3}, 4), 128256).ids, expected));
  // The header decides, not the vocabulary.
  CHECK(at::equal(load_tokens(header(20240801, 7, 3) + little_endian({1, 2, 3}, 4), 10).ids, expected));
}

TEST_CASE("the end of a file is held out") {
  std::vector<int64_t> ids;
  for (uint32_t i = 0; i < 100; ++i) ids.push_back(i);
  TextDataConfig config;
  config.held_out = 0.1;
  const auto range = [&](TextSplit split) {
    config.split = split;
    const auto part = load_tokens(little_endian(ids, 2), 100, config).ids;
    return std::pair<int, int>{part[0].item<int>(), part[-1].item<int>()};
  };
  CHECK(range(TextSplit::kAll) == std::pair{0, 99});
  CHECK(range(TextSplit::kTrain) == std::pair{0, 79});
  CHECK(range(TextSplit::kValidation) == std::pair{80, 89});
  CHECK(range(TextSplit::kTest) == std::pair{90, 99});
  config.held_out = 0.0;
  config.split = TextSplit::kTest;
  CHECK(contains(refusal(little_endian(ids, 2), 100, config), "tokens in the chosen part"));
}

TEST_CASE("bad token files say what is wrong and where") {
  CHECK(contains(refusal(little_endian({1, 2, 512, 3}, 2), 512),
                 "below the vocabulary's size, 512, found 512 as token 2"));
  CHECK(contains(refusal(little_endian({1, 0xFFFFFFFF}, 4), 70000), "found 4294967295 as token 1"));
  TextDataConfig config;
  config.split = TextSplit::kTest;
  config.held_out = 0.25;
  CHECK(contains(refusal(little_endian({1, 2, 3, 99}, 2), 10, config), "found 99 as token 3"));
  CHECK(contains(refusal("", 512), "0 bytes"));
  CHECK(contains(refusal("abc", 512), "token ids of 2 bytes each, found 3 bytes"));
  CHECK(contains(refusal("abcdef", 70000), "token ids of 4 bytes each, found 6 bytes"));
  CHECK(
      contains(refusal(header(20240520, 2, 1) + "ab", 512), "version 1 of llm.c's format, found version 2"));
  CHECK(contains(refusal(header(20240520, 1, 3) + "abcd", 512), "as its header says, 3, found 2"));
  CHECK(contains(refusal(header(20240520, 1, 0), 512), "as its header says, 0"));
  CHECK(contains(refusal(header(20240520, 1, 0xFFFFFFFF) + "ab", 512), "as its header says, -1"));
  TextDataConfig none;
  none.path = "no/such/file";
  CHECK(contains(caught([&] { load_token_file(none, 10, {1}); }).what(), "nothing there"));
}

}  // namespace
}  // namespace bilens::token_file_test
