#include "bilens/data/tokenizer.h"

#include <cstdlib>
#include <cstring>
#include <fstream>

#include "bilens/core/stopwatch.h"
#include "caught.h"
#include "temporary_folder.h"
#include "test_data.h"

namespace bilens::tokenizer_test {
namespace {

using test::caught;
using test::contains;

constexpr const char* kLlama = "llama-tokenizer/tokenizer.model";
constexpr const char* kSmall = "stories260K/tok512.model";

Tokenizer load(const char* name) { return Tokenizer(test::test_data_folder() / name); }

std::string refusal(const std::filesystem::path& path) {
  const auto error = caught([&] { Tokenizer{path}; });
  CHECK(error.code() == ExitCode::kBadInput);
  return error.what();
}

/// The parts of a stream, joined by |.
std::string streamed(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  StreamingDecoder decoder(tokenizer);
  std::string parts;
  for (const int32_t id : ids) parts += decoder.next(id) + "|";
  return parts + decoder.finish();
}

std::string without_bars(std::string text) {
  std::erase(text, '|');
  return text;
}

TEST_CASE("the Llama tokenizer gives the known ids") {
  if (!test::have_test_data(kLlama)) return;
  const auto tokenizer = load(kLlama);
  CHECK(tokenizer.vocabulary_size() == 32000);
  CHECK(tokenizer.unknown() == 0);
  CHECK(tokenizer.bos() == 1);
  CHECK(tokenizer.eos() == 2);
  using Ids = std::vector<int32_t>;
  CHECK(tokenizer.encode("This") == Ids{910});
  CHECK(tokenizer.encode_document("This") == Ids{1, 910});
  CHECK(tokenizer.encode("").empty());
  CHECK(tokenizer.encode_document("") == Ids{1});
  CHECK(tokenizer.encode("\n") == Ids{29871, 13});
  CHECK(tokenizer.encode("\xC3\xA9\xF0\x9F\x98\x80 \t") == Ids{904, 243, 162, 155, 131, 29871, 12});
  CHECK(tokenizer.piece(910) == "\xE2\x96\x81This");
  CHECK(tokenizer.byte_of(13) == 0x0A);
  CHECK(tokenizer.byte_of(910) == -1);
}

TEST_CASE("names of special tokens in a text are text") {
  if (!test::have_test_data(kLlama)) return;
  const auto tokenizer = load(kLlama);
  const std::string text = "<s>a</s><unk>";
  const auto ids = tokenizer.encode(text);
  for (const int32_t special : {0, 1, 2}) CHECK(std::find(ids.begin(), ids.end(), special) == ids.end());
  CHECK(tokenizer.decode(ids) == text);
}

TEST_CASE("decoding gives the text back, spaces included, and leaves special tokens out") {
  if (!test::have_test_data(kLlama)) return;
  const auto tokenizer = load(kLlama);
  for (const std::string text : {"This", " This", "   a  b ", "\t\n\n x", "\xE2\x96\x81", "",
                                 "na\xC3\xAFve \xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x9A\x80!"}) {
    CAPTURE(text);
    auto ids = tokenizer.encode_document(text);
    ids.push_back(tokenizer.eos());
    // U+2581 stands for the space in the model: it alone does not come back.
    CHECK(tokenizer.decode(ids) == (text == "\xE2\x96\x81" ? " " : text));
  }
}

TEST_CASE("a stream of tokens shows text as soon as it is certain") {
  if (!test::have_test_data(kLlama)) return;
  const auto tokenizer = load(kLlama);
  CHECK(streamed(tokenizer, {1, 910, 338}) == "|This| is|");  // "▁This" "▁is"
  CHECK(streamed(tokenizer, {910}) == "This|");
  CHECK(streamed(tokenizer, {1, 259, 338}) == "| | is|");  // two spaces first: one is the tokenizer's own
  // U+1F600 as four bytes, then an unfinished one.
  CHECK(streamed(tokenizer, {910, 243, 162, 155, 131, 338}) == "This||||\xF0\x9F\x98\x80| is|");
  CHECK(streamed(tokenizer, {243, 162}) == "||\xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(streamed(tokenizer, {243, 162, 338}) == "||\xEF\xBF\xBD\xEF\xBF\xBD is|");
}

TEST_CASE("whatever the tokens, the parts of a stream are the whole") {
  for (const char* name : {kLlama, kSmall}) {
    if (!test::have_test_data(name)) return;
    const auto tokenizer = load(name);
    uint32_t state = 1;
    const auto draw = [&](int64_t below) {
      state = state * 1664525 + 1013904223;
      return static_cast<int32_t>((state >> 8) % below);
    };
    for (int round = 0; round < 300; ++round) {
      std::vector<int32_t> ids;
      for (const auto length = static_cast<size_t>(draw(12)); ids.size() < length;) {
        // Every second one from the special tokens and bytes.
        ids.push_back(draw(2) == 0 ? draw(259) : draw(tokenizer.vocabulary_size()));
      }
      CAPTURE(name, ids);
      CHECK(without_bars(streamed(tokenizer, ids)) == without_bars(tokenizer.decode(ids)));
    }
  }
}

TEST_CASE("an id that is no piece's is named") {
  if (!test::have_test_data(kSmall)) return;
  const auto tokenizer = load(kSmall);
  for (const int32_t id : {-1, 512, 1 << 30}) {
    const std::string message = caught([&] { tokenizer.decode({5, id}); }).what();
    CHECK(contains(message, "token ids from 0 to 511, found " + std::to_string(id)));
    StreamingDecoder decoder(tokenizer);
    CHECK(contains(caught([&] { decoder.next(id); }).what(), "token ids from 0 to 511"));
  }
}

TEST_CASE("a tokenizer with more pieces than the model's vocabulary does not fit it") {
  if (!test::have_test_data(kSmall)) return;
  const auto tokenizer = load(kSmall);
  tokenizer.require_fits(512, "m");
  tokenizer.require_fits(32000, "m");  // models may have rows to spare
  const auto error = caught([&] { tokenizer.require_fits(511, "models/m"); });
  CHECK(error.code() == ExitCode::kBadInput);
  CHECK(contains(error.what(), "at most 511 pieces, the vocabulary of models/m, found 512"));
}

TEST_CASE("a model directory's tokenizer is found, formats that are not read are named") {
  const test::TemporaryFolder folder;
  CHECK(contains(refusal(folder.path()), "neither in the folder"));
  test::write_file(folder / "tokenizer.bin", "x");
  CHECK(contains(refusal(folder.path()), "tokenizer.bin of llama2.c"));
  CHECK(contains(refusal(folder / "tokenizer.bin"), "tokenizer.bin of llama2.c"));
  test::write_file(folder / "tokenizer.json", "{}");
  CHECK(contains(refusal(folder.path()), "tokenizer.json: expected the key \"model\", found none"));
  CHECK(contains(refusal(folder / "none"), "none"));
  if (!test::have_test_data(kSmall)) return;
  test::write_file(folder / "tokenizer.model", test::read_file(test::test_data_folder() / kSmall));
  CHECK(Tokenizer(folder.path()).vocabulary_size() == 512);
}

TEST_CASE("other and damaged files are refused") {
  const test::TemporaryFolder folder;
  const auto refused = [&](const std::string& bytes) {
    test::write_file(folder / "tokenizer.model", bytes);
    return refusal(folder.path());
  };
  for (const std::string& bytes : {std::string(), std::string("<html>404</html>"), std::string(1000, '\0'),
                                   std::string("version https://git-lfs.github.com/spec/v1\n")}) {
    CHECK(contains(refused(bytes), "a SentencePiece model"));
  }
  if (!test::have_test_data(kSmall)) return;
  const std::string whole = test::read_file(test::test_data_folder() / kSmall);
  CHECK(contains(refused(whole.substr(0, whole.size() / 2)), "a SentencePiece model"));
  // Whatever byte is changed, it is a tokenizer or an error.
  for (size_t at = 0; at < whole.size(); at += 13) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
    test::write_file(folder / "tokenizer.model", damaged);
    try {
      const Tokenizer tokenizer(folder.path());
      tokenizer.decode(tokenizer.encode("Once upon a time, 12 \xC3\xA9"));
    } catch (const Error& error) {
      CHECK(error.code() == ExitCode::kBadInput);
    }
  }
}

// For Python, which compares with its packages: the tokenizer BILENS_IDS_MODEL encodes the texts of
// BILENS_IDS_INPUT (each after its length, uint32) into lines of BILENS_IDS_OUTPUT, with BILENS_IDS_PROMPT as
// prompts. With BILENS_IDS_DECODE the input is lists of ids (each after its length in bytes), of which the
// output has the texts, each after its length.
TEST_CASE("texts to ids and back, for Python", "[.ids]") {
  const char* model = std::getenv("BILENS_IDS_MODEL");
  if (model == nullptr) return;
  const bool prompt = std::getenv("BILENS_IDS_PROMPT") != nullptr;
  const bool decode = std::getenv("BILENS_IDS_DECODE") != nullptr;
  const Tokenizer tokenizer(model);
  const std::string texts = test::read_file(std::getenv("BILENS_IDS_INPUT"));
  std::ofstream output(std::getenv("BILENS_IDS_OUTPUT"), std::ios::binary);
  double seconds = 0;
  for (size_t at = 0; at < texts.size();) {
    uint32_t length = 0;
    std::memcpy(&length, texts.data() + at, sizeof length);
    const auto part = texts.substr(at + sizeof length, length);
    at += sizeof length + length;
    if (decode) {
      std::vector<int32_t> ids(length / sizeof(int32_t));
      std::memcpy(ids.data(), part.data(), length);
      const auto text = tokenizer.decode(ids);
      const auto size = static_cast<uint32_t>(text.size());
      output.write(reinterpret_cast<const char*>(&size), sizeof size) << text;
      continue;
    }
    Stopwatch watch;
    const auto ids = prompt ? tokenizer.encode_prompt(part) : tokenizer.encode(part);
    watch.lap(seconds);
    for (const int32_t id : ids) output << id << ' ';
    output << '\n';
  }
  if (const char* file = std::getenv("BILENS_IDS_SECONDS")) std::ofstream(file) << seconds;
}

}  // namespace
}  // namespace bilens::tokenizer_test
