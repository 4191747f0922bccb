#include "bilens/data/added_tokens.h"

#include "bilens/core/json.h"
#include "bilens/core/log.h"
#include "bilens/data/tokenizer_training.h"
#include "caught.h"
#include "temporary_folder.h"
#include "test_data.h"

namespace bilens::added_tokens_test {
namespace {

using test::caught;
using test::contains;
using Ids = std::vector<int32_t>;

constexpr const char* kSmall = "stories260K/tok512.model";

/// A folder with the small tokenizer and the files beside it.
class Neighbours {
 public:
  explicit Neighbours(const std::vector<std::pair<std::string, Json>>& files) {
    for (const auto& [name, content] : files) test::write_file(folder_ / name, content.dump());
    test::write_file(folder_ / "tokenizer.model", test::read_file(test::test_data_folder() / kSmall));
  }
  Tokenizer load() const { return Tokenizer(folder_.path()); }
  std::string refusal() const {
    const auto error = caught([&] { load(); });
    CHECK(error.code() == ExitCode::kBadInput);
    return error.what();
  }
  std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }

 private:
  test::TemporaryFolder folder_;
};

const Json kChat = {{"<|im_start|>", 512}, {"<|im_end|>", 513}};

std::vector<std::pair<std::string, Json>> chat(bool legacy) {
  return {{"added_tokens.json", kChat}, {"tokenizer_config.json", {{"legacy", legacy}}}};
}

std::string streamed(const Tokenizer& tokenizer, const Ids& ids) {
  StreamingDecoder decoder(tokenizer);
  std::string text;
  for (const int32_t id : ids) text += decoder.next(id);
  return text + decoder.finish();
}

TEST_CASE("a prompt begins with BOS, unless the configuration says that it does not") {
  if (!test::have_test_data(kSmall)) return;
  const auto begin = [](const Json& config) {
    return Neighbours({{"tokenizer_config.json", config}}).load().encode_prompt("a").front();
  };
  CHECK(begin({{"add_bos_token", true}}) == 1);
  CHECK(begin({{"add_eos_token", false}}) == 1);
  CHECK(begin({{"add_bos_token", false}}) == 261);
  CHECK(begin({{"add_bos_token", nullptr}}) == 261);
  CHECK(contains(Neighbours({{"tokenizer_config.json", {{"add_bos_token", "no"}}}}).refusal(),
                 "add_bos_token"));
  const auto without = Neighbours({{"tokenizer_config.json", {{"add_bos_token", false}}}}).load();
  CHECK(without.encode_document("a") ==
        Ids{1, 261});  // documents of training data begin with it all the same
  CHECK(contains(caught([&] { without.encode_prompt(""); }).what(), "at least one token"));
}

TEST_CASE("added tokens are encoded, named and decoded as transformers does") {
  if (!test::have_test_data(kSmall)) return;
  const auto tokenizer = Neighbours(chat(false)).load();
  CHECK(tokenizer.vocabulary_size() == 514);
  CHECK(tokenizer.id_of("<|im_end|>") == 513);
  CHECK(tokenizer.piece(513) == "<|im_end|>");
  CHECK(tokenizer.byte_of(513) == -1);
  // transformers 5.24.0
  CHECK(tokenizer.encode("<|im_start|><|im_end|> z") == Ids{512, 513, 410, 451});
  CHECK(tokenizer.encode("a</s>b") == Ids{261, 2, 430});
  const auto legacy = Neighbours(chat(true)).load();
  CHECK(legacy.encode("a</s>b") == Ids{261, 2, 268});
  for (const std::string text :
       {"<|im_start|>user\nWhat is it?<|im_end|>\n<|im_start|> bot", "a <|im_end|>", "<|im_end|>",
        "\xF0\x9F\x98\x80<|im_end|> \xF0\x9F\x98\x80", "two spaces<|im_end|>  and two"}) {
    CAPTURE(text);
    CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
    CHECK(streamed(tokenizer, tokenizer.encode(text)) == text);
    CHECK(streamed(legacy, legacy.encode(text)) == legacy.decode(legacy.encode(text)));
  }
  CHECK(legacy.decode(legacy.encode("a<|im_end|>b c")) == "a<|im_end|> b c");
  CHECK(tokenizer.decode({1, 512, 2, 261}) == "<|im_start|> a");  // control tokens are left out
  CHECK(contains(caught([&] { tokenizer.decode({514}); }).what(), "token ids from 0 to 513, found 514"));
}

TEST_CASE("whatever the tokens, a stream with added ones is the whole") {
  if (!test::have_test_data(kSmall)) return;
  for (const bool legacy : {false, true}) {
    const auto tokenizer = Neighbours(chat(legacy)).load();
    uint32_t state = 1;
    const auto draw = [&](uint32_t below) {
      state = state * 1664525 + 1013904223;
      return static_cast<int32_t>((state >> 8) % below);
    };
    for (int round = 0; round < 300; ++round) {
      Ids ids;
      for (const auto length = static_cast<size_t>(draw(10)); ids.size() < length;)
        ids.push_back(draw(3) == 0 ? 512 + draw(2) : draw(2) == 0 ? draw(259) : draw(514));
      CAPTURE(legacy, ids);
      CHECK(streamed(tokenizer, ids) == tokenizer.decode(ids));
    }
  }
}

TEST_CASE("a model without files beside it is SentencePiece's alone, and so is a file of another name") {
  if (!test::have_test_data(kSmall)) return;
  const Neighbours alone({}), full(chat(true));
  CHECK(alone.load().encode("a</s>b") == Tokenizer(test::test_data_folder() / kSmall).encode("a</s>b"));
  CHECK(alone.load().encode("a</s>b").size() > 3);
  CHECK(Tokenizer(full / "tokenizer.model").encode("<|im_end|>") == Ids{513});
  std::filesystem::copy_file(full / "tokenizer.model", full / "other.model");
  CHECK(Tokenizer(full / "other.model").vocabulary_size() == 512);
}

TEST_CASE("BOS and EOS are those that the configuration names") {
  if (!test::have_test_data(kSmall)) return;
  const Json decoder = {
      {"added_tokens_decoder", {{"512", {{"content", "<|end|>"}}}, {"513", {{"content", "<|begin|>"}}}}},
      {"bos_token", {{"content", "<|begin|>"}}},
      {"eos_token", "<|end|>"}};
  const auto tokenizer = Neighbours({{"tokenizer_config.json", decoder}}).load();
  CHECK(tokenizer.bos() == 513);
  CHECK(tokenizer.eos() == 512);
  CHECK(tokenizer.encode_document("") == Ids{513});
  const auto plain =
      Neighbours({{"tokenizer_config.json", {{"bos_token", "<s>"}, {"eos_token", nullptr}}}}).load();
  CHECK(plain.bos() == 1);
  CHECK(plain.eos() == 2);
}

TEST_CASE("a name that stands in for a piece is decoded as it says") {
  if (!test::have_test_data(kSmall)) return;
  const Json renamed = {{"added_tokens_decoder", {{"511", {{"content", "<tool>"}}}}}};
  const auto tokenizer = Neighbours({{"tokenizer_config.json", renamed}}).load();
  CHECK(tokenizer.vocabulary_size() == 512);
  CHECK(tokenizer.encode("<tool>") == Ids{511});
  CHECK(tokenizer.decode({511}) == "<tool>");
}

TEST_CASE("tokens beyond the model's vocabulary are text") {
  if (!test::have_test_data(kSmall)) return;
  set_verbosity(Verbosity::kQuiet);
  const auto tokenizer = Neighbours(chat(true)).load();
  tokenizer.require_fits(512, "m");  // models are published with a padding token that they have no row for
  const auto fitting = tokenizer.within(513);
  CHECK(fitting.vocabulary_size() == 513);
  CHECK(fitting.encode("<|im_start|>") == Ids{512});
  for (const int32_t id : fitting.encode("<|im_end|>")) CHECK(id < 512);
  CHECK(tokenizer.within(514).encode("<|im_end|>") == Ids{513});
  set_verbosity(Verbosity::kNormal);
}

TEST_CASE("a tokenizer is saved with what counts beside it") {
  if (!test::have_test_data(kSmall)) return;
  const Neighbours source(chat(false));
  const test::TemporaryFolder target;
  save_tokenizer(target.path(), source.load());
  CHECK(Tokenizer(target.path()).encode("a<|im_end|>") == source.load().encode("a<|im_end|>"));
  CHECK(test::read_file(target / "added_tokens.json") == kChat.dump());
}

TEST_CASE("files that contradict each other or are damaged are named") {
  if (!test::have_test_data(kSmall)) return;
  const auto config = [](const Json& decoder) {
    return std::vector<std::pair<std::string, Json>>{
        {"added_tokens.json", kChat}, {"tokenizer_config.json", {{"added_tokens_decoder", decoder}}}};
  };
  CHECK(contains(Neighbours(config({{"513", {{"content", "other"}}}})).refusal(), "\"other\" as token 513"));
  CHECK(contains(Neighbours(config({{"600", {{"content", "<|im_end|>"}}}})).refusal(),
                 "\"<|im_end|>\" as token 600"));
  CHECK(contains(Neighbours(config({{"x", {{"content", "y"}}}})).refusal(), "token ids from 0"));
  CHECK(contains(Neighbours(config({{"600", {{"content", ""}}}})).refusal(), "the text of token 600"));
  CHECK(contains(Neighbours(config({{"600", {{"content", "a"}, {"single_word", true}}}})).refusal(),
                 "single_word"));
  CHECK(contains(Neighbours({{"added_tokens.json", {{"a", -1}}}}).refusal(), "added_tokens.json"));
  CHECK(contains(Neighbours({{"added_tokens.json", {{"a", 1e30}}}}).refusal(), "token ids from 0"));
  CHECK(contains(Neighbours({{"added_tokens.json", Json::array({1})}}).refusal(), "an object"));
  CHECK(contains(Neighbours({{"tokenizer_config.json", Json::array({"text"})}}).refusal(), "an object"));
}

}  // namespace
}  // namespace bilens::added_tokens_test
