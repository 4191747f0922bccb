#include <cstdlib>
#include <functional>
#include <thread>

#include "bilens/core/json.h"
#include "bilens/core/stopwatch.h"
#include "bilens/data/tokenizer.h"
#include "caught.h"
#include "temporary_folder.h"
#include "test_data.h"

namespace bilens::json_tokenizer_test {
namespace {

using test::caught;
using test::contains;
using Ids = std::vector<int32_t>;

constexpr const char* kPhi2 = "tokenizers/phi-2/tokenizer.json";
constexpr const char* kPhi3 = "tokenizers/phi-3-mini/tokenizer.json";

/// Byte-level, of the pieces a, b, c, Ġ, ab, Ġab, and the two halves of é.
Json byte_level() {
  return Json::parse(R"({
    "added_tokens": [{"id": 8, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
                      "normalized": false, "special": true}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
    "post_processor": null,
    "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
    "model": {"type": "BPE", "dropout": null, "unk_token": null, "fuse_unk": false, "byte_fallback": false,
              "vocab": {"a": 0, "b": 1, "c": 2, "Ġ": 3, "ab": 4, "Ġab": 5, "Ã": 6, "©": 7},
              "merges": [["a", "b"], ["Ġ", "ab"]]}})");
}

/// The same with one thing changed, in a folder of its own.
class Changed {
 public:
  explicit Changed(const std::function<void(Json&)>& change = [](Json&) {}) {
    auto json = byte_level();
    change(json);
    test::write_file(folder_ / "tokenizer.json", json.dump());
  }
  Tokenizer open() const { return Tokenizer(folder_.path()); }
  std::string refusal() const {
    const auto error = caught([&] { open(); });
    CHECK(error.code() == ExitCode::kBadInput);
    return error.what();
  }
  void beside(const char* name, const Json& json) const { test::write_file(folder_ / name, json.dump()); }

 private:
  test::TemporaryFolder folder_;
};

std::string refusal(const char* part, const char* json) {
  return Changed([&](Json& all) { all[Json::json_pointer(part)] = Json::parse(json); }).refusal();
}

TEST_CASE("pairs of lowest rank merge, and pieces are told as they read") {
  const auto tokenizer = Changed().open();
  CHECK(tokenizer.encode("ab abc") == Ids{4, 5, 2});
  CHECK(tokenizer.encode("") == Ids{});
  CHECK(tokenizer.encode("\xC3\xA9<s>z") == Ids{6, 7, 8});  // without unk_token, what is unknown is left out
  CHECK(tokenizer.decode({8, 5, 6, 7, 2}) ==
        " ab\xC3\xA9"
        "c");
  CHECK(tokenizer.piece(5) ==
        "\xC4\xA0"
        "ab");
  CHECK(tokenizer.shown(5) ==
        "\xE2\x96\x81"
        "ab");
  CHECK(tokenizer.shown(6) == "<0xC3>");
  CHECK(tokenizer.shown(8) == "<s>");
  CHECK(tokenizer.byte_of(6) == 0xC3);
  CHECK(tokenizer.byte_of(5) == -1);
  for (const char* word : {" ab", "ab",
                           "\xE2\x96\x81"
                           "ab",
                           "\xC4\xA0"
                           "ab"})
    CHECK(tokenizer.id_of_word(word) == 5);
  CHECK(tokenizer.id_of_word("c") == 2);
  CHECK(tokenizer.id_of_word("<0xC3>") == 6);
  CHECK(tokenizer.id_of_word("ca") == -1);
  CHECK(tokenizer.vocabulary_size() == 9);
  CHECK(tokenizer.bos() == -1);
  CHECK(contains(caught([&] { tokenizer.piece(9); }).what(), "token ids from 0 to 8, found 9"));
}

TEST_CASE("patterns that are empty are refused") {
  const char* replace = R"({"type": "Replace", "pattern": {"String": ""}, "content": "x"})";
  CHECK(contains(refusal("/normalizer", replace), "pattern.String: expected a text that is not empty"));
}

TEST_CASE("white space that one added token has taken is no other") {
  const auto tokenizer = Changed([](Json& json) {
                           json["added_tokens"] =
                               Json::parse(R"([{"id": 8, "content": "  ", "lstrip": true, "rstrip": true}])");
                         }).open();
  CHECK(tokenizer.encode("a      b") == Ids{0, 8, 1});
}

TEST_CASE("a stream never shows part of a character") {
  const auto tokenizer = Changed().open();
  StreamingDecoder decoder(tokenizer);
  CHECK(decoder.next(4) == "ab");
  CHECK(decoder.next(6) == "");
  CHECK(decoder.next(8) == "");  // a special token is no text and ends no character
  CHECK(decoder.next(7) == "\xC3\xA9");
  CHECK(decoder.next(6) == "");
  CHECK(decoder.next(5) == "\xEF\xBF\xBD ab");
  CHECK(decoder.next(6) == "");
  CHECK(decoder.finish() == "\xEF\xBF\xBD");
}

TEST_CASE("whatever the tokens of published tokenizers, the parts of a stream are the whole") {
  for (const char* name : {kPhi2, kPhi3}) {
    if (!test::have_test_data(name)) return;
    const Tokenizer tokenizer(test::test_data_folder() / name);
    uint32_t state = 7;
    const auto draw = [&](int64_t below) {
      state = state * 1664525 + 1013904223;
      return static_cast<int32_t>((state >> 8) % below);
    };
    for (int round = 0; round < 300; ++round) {
      Ids ids;
      for (const auto length = static_cast<size_t>(draw(12)); ids.size() < length;)
        ids.push_back(draw(2) == 0 ? draw(260) : draw(tokenizer.vocabulary_size()));
      CAPTURE(name, ids);
      StreamingDecoder decoder(tokenizer);
      std::string parts;
      for (const int32_t id : ids) {
        parts += decoder.next(id);
        CHECK((parts.empty() || static_cast<unsigned char>(parts.back()) < 0xC0));
      }
      CHECK(parts + decoder.finish() == tokenizer.decode(ids));
    }
  }
}

TEST_CASE("what begins and ends a prompt is the template's, whatever tokenizer_config.json says") {
  const auto with_template = [](Json& json) {
    json["post_processor"] = Json::parse(R"({"type": "Sequence", "processors": [
        {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
        {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
         "special_tokens": {"<s>": {"id": "<s>", "ids": [8], "tokens": ["<s>"]}}}]})");
  };
  const Changed plain, templated(with_template);
  CHECK(plain.open().encode_prompt("ab") == Ids{4});
  CHECK(contains(caught([&] { plain.open().encode_prompt(""); }).what(), "a prompt of at least one token"));
  CHECK(contains(caught([&] { plain.open().encode_document("ab"); }).what(), "a BOS or EOS token"));
  CHECK(templated.open().bos() == 8);
  CHECK(templated.open().encode_prompt("ab") == Ids{8, 4});
  templated.beside("tokenizer_config.json", {{"bos_token", nullptr}, {"eos_token", {{"content", "c"}}}});
  CHECK(templated.open().encode_prompt("ab") == Ids{8, 4});
  CHECK(templated.open().eos() == 2);
  templated.beside("tokenizer_config.json", {{"bos_token", "<s>"}, {"add_bos_token", false}});
  CHECK(templated.open().encode_prompt("ab") == Ids{8, 4});
  CHECK(templated.open().encode_document("ab") == Ids{8, 4});
  plain.beside("special_tokens_map.json", {{"bos_token", "<s>"}, {"eos_token", "<s>"}});
  plain.beside("tokenizer_config.json",
               {{"eos_token", "c"}, {"add_bos_token", true}, {"add_eos_token", true}});
  CHECK(plain.open().bos() == 8);
  CHECK(plain.open().eos() == 2);
  CHECK(plain.open().encode_prompt("ab") == Ids{4});
  CHECK(plain.open().files().size() == 3);
  plain.beside("special_tokens_map.json", Json::object());
  CHECK(plain.open().bos() == -1);
  CHECK(plain.open().encode_document("ab") == Ids{2, 4});  // behind EOS, as in token files
}

TEST_CASE("tokens that only tokenizer_config.json has are tokens, and contradictions are refused") {
  const Changed changed;
  const auto config = [&](const char* id, const char* content) {
    changed.beside("tokenizer_config.json",
                   {{"added_tokens_decoder", {{id, {{"content", content}, {"special", true}}}}}});
  };
  config("9", "<x>");
  CHECK(changed.open().encode("a<x>") == Ids{0, 9});
  config("8", "<x>");
  CHECK(contains(changed.refusal(), "\"<s>\" as token 8, found \"<x>\" as token 8"));
  config("9", "<s>");
  CHECK(contains(changed.refusal(), "\"<s>\" as token 8, found \"<s>\" as token 9"));
  config("x", "<x>");
  CHECK(contains(changed.refusal(), "token ids from 0"));
}

TEST_CASE("a model without rows for added tokens has their text as text") {
  const auto tokenizer = Changed().open();
  tokenizer.require_fits(8, "m");
  CHECK(tokenizer.within(8).encode("a<s>") == Ids{0});
  CHECK(tokenizer.within(9).encode("a<s>") == Ids{0, 8});
  CHECK(contains(caught([&] { tokenizer.require_fits(7, "m"); }).what(), "at most 7 pieces"));
}

TEST_CASE("what is not read is refused by its name and place") {
  CHECK(contains(refusal("/model/type", R"("Unigram")"), "model: expected \"BPE\", found \"Unigram\""));
  CHECK(contains(refusal("/normalizer", R"({"type": "Precompiled", "precompiled_charsmap": ""})"),
                 "\"Precompiled\""));
  CHECK(contains(refusal("/pre_tokenizer/type", R"("BertPreTokenizer")"), "\"BertPreTokenizer\""));
  CHECK(contains(refusal("/decoder/type", R"("CTC")"), "\"CTC\""));
  CHECK(contains(refusal("/post_processor", R"({"type": "BertProcessing"})"), "\"BertProcessing\""));
  CHECK(contains(refusal("/model/dropout", "0.1"), "model.dropout: expected null, found 0.1"));
  CHECK(
      contains(refusal("/model/end_of_word_suffix", R"("</w>")"), "model.end_of_word_suffix: expected none"));
}

TEST_CASE("damaged files are refused, with what is wrong and where") {
  CHECK(contains(refusal("/model/vocab/ab", "0"),
                 R"(model.vocab: expected each id once, found 0 for "a" and "ab")"));
  for (const char* id : {"-1", "1.5", "\"a\"", "1e9", "99999999999999999999", "null", "16777216"})
    CHECK(contains(refusal("/model/vocab/ab", id), "token ids from 0 to 16777215"));
  for (const char* merge :
       {R"(["a", "z"])", R"(["", "a"])", R"("a b c")", R"("ab")", "[]", "7", R"(["b", "a"])"}) {
    CAPTURE(merge);
    CHECK(
        contains(refusal("/model/merges/0", merge), "tokenizer.json: model.merges[0]: expected two pieces"));
  }
  CHECK(contains(refusal("/model", "[]"), "model: expected an object, found the array []"));
  CHECK(contains(refusal("/model/vocab", "[]"), "model.vocab: expected an object"));
  CHECK(contains(refusal("/model/merges", "{}"), "model.merges: expected an array"));
  CHECK(contains(refusal("/model/fuse_unk", "1"), "model.fuse_unk: expected true or false, found 1"));
  CHECK(contains(refusal("/added_tokens/0/id", "3"), R"(expected "Ġ" as token 3, found "<s>" as token 3)"));
  CHECK(
      contains(refusal("/added_tokens/0/id", "11"), R"(expected "<s>" as token 8, found "<s>" as token 11)"));
  CHECK(contains(refusal("/added_tokens/0/content", R"("a")"), R"(expected "a" as token 0)"));
  CHECK(contains(refusal("/added_tokens/0/lstrip", "3"), "added_tokens[0].lstrip: expected true or false"));
  const std::string single =
      R"({"type": "TemplateProcessing", "special_tokens": {"<s>": {"ids": [99]}}, "single": )";
  const auto refused_template = [&](const std::string& part) {
    return refusal("/post_processor", (single + part + "}").c_str());
  };
  CHECK(contains(refused_template(R"([{"SpecialToken": {"id": "<x>"}}, {"Sequence": {}}])"), "\"<x>\""));
  CHECK(contains(refused_template(R"([{"SpecialToken": {"id": "<s>"}}, {"Sequence": {}}])"), "found 99"));
  CHECK(contains(refused_template("[]"), "the text once, found 0 times"));
  std::string nested = R"({"type": "NFC"})";
  for (int i = 0; i < 17; ++i) nested = R"({"type": "Sequence", "normalizers": [)" + nested + "]}";
  CHECK(contains(refusal("/normalizer", nested.c_str()), "at most 16 Sequences"));
  const test::TemporaryFolder folder;
  for (const char* bytes : {"", "{", "[]", "null", "<html>", "{\"model\": {}}", "\xFF"}) {
    CAPTURE(bytes);
    test::write_file(folder / "tokenizer.json", bytes);
    CHECK(caught([&] { Tokenizer{folder.path()}; }).code() == ExitCode::kBadInput);
  }
}

TEST_CASE("merges that are strings are parted where both sides are pieces") {
  const auto with_spaces = [](Json& json) {
    json["pre_tokenizer"] = nullptr;
    json["model"]["vocab"] = {{"a", 0}, {" ", 1}, {"  ", 2}, {" a", 3}, {"<s>", 8}};
    json["model"]["merges"] = {"   ", "  a"};
  };
  CHECK(Changed(with_spaces).open().encode("  a   ") == Ids{2, 0, 2, 1});
}

TEST_CASE("expressions that Oniguruma and ICU read differently are refused") {
  const auto split = [](const std::string& regex) {
    return [regex](Json& json) {
      json["pre_tokenizer"] = {
          {"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}};
    };
  };
  for (const char* regex : {R"(\p{N}{1,3}+)",
                            R"(a{1,2}?)",
                            R"(a{,2})",
                            "^a",
                            "a$",
                            R"(\ba)",
                            R"(\h)",
                            R"(\R)",
                            "[a&&b]",
                            "[[:alpha:]]",
                            R"((?i:\p{Lu}))",
                            "(?i)a",
                            "(?<n>a)",
                            R"((a)\1)",
                            "a**",
                            "(a",
                            "a)",
                            "[a",
                            "[]a]",
                            R"(\p{Foo})",
                            R"(\p{L)",
                            "*a",
                            R"(\x{110000})",
                            R"(\xC3)",
                            "(?#a)",
                            "(?i:[^a])",
                            R"(\)",
                            "a{2,1}",
                            "(?<=a+)b",
                            "[z-a]"}) {
    CAPTURE(regex);
    CHECK(contains(Changed(split(regex)).refusal(),
                   "pre_tokenizer.pattern.Regex: expected a regular expression"));
  }
  // One that takes exponential time ends; so does one that repeats a group a million times.
  const std::string many(40, 'a');
  const auto slow = Changed(split("(?:a|aa|ab?)*c")).open();
  CHECK(contains(caught([&] { slow.encode(many + many + many + "d"); }).what(),
                 "which takes too long on a text"));
  const auto deep = Changed(split("(?:a|b)+")).open();
  CHECK(deep.encode(std::string(1'000'000, 'a')).size() == 1'000'000);
}

TEST_CASE("a megabyte without a space is tokenized within two seconds") {
  for (const char* name : {kPhi2, kPhi3}) {
    if (!test::have_test_data(name)) return;
    const Tokenizer tokenizer(test::test_data_folder() / name);
    std::string mixed;
    for (uint32_t i = 0, state = 1; i < 1'000'000; ++i, state = state * 1664525 + 1013904223)
      mixed += static_cast<char>('a' + (state >> 24) % 26);
    for (const auto& text : {std::string(1'000'000, 'a'), std::string(1'000'000, ' '), mixed}) {
      const Stopwatch watch;
      const auto ids = tokenizer.encode(text);
      const double taken = watch.seconds();
      CHECK(tokenizer.decode(ids) == text);
      if (std::getenv("BILENS_SANITIZED") == nullptr) CHECK(taken < 2.0);
    }
  }
}

TEST_CASE("several threads share a tokenizer") {
  if (!test::have_test_data(kPhi2)) return;
  const Tokenizer tokenizer(test::test_data_folder() / kPhi2);
  std::string text;
  for (int i = 0; i < 3000; ++i) text += " word" + std::to_string(i * 7919);
  const auto expected = tokenizer.encode(text);
  std::vector<Ids> found(4);
  std::vector<std::thread> threads;
  for (auto& ids : found) threads.emplace_back([&] { ids = Tokenizer(tokenizer).encode(text); });
  for (auto& thread : threads) thread.join();
  for (const auto& ids : found) CHECK(ids == expected);
}

TEST_CASE("bytes that are no UTF-8 are U+FFFD, one for each beginning of a character") {
  const auto fffd = Changed([](Json& json) {
                      json["pre_tokenizer"] = nullptr;
                      json["model"]["vocab"] = {{"a", 0}, {"\xEF\xBF\xBD", 1}, {"<s>", 8}};
                      json["model"]["merges"] = Json::array();
                    }).open();
  CHECK(fffd.encode("a\xFF"
                    "a") == Ids{0, 1, 0});
  CHECK(fffd.encode("\xE2\x82"
                    "a\xF0\x9F\x98") == Ids{1, 0, 1});
  CHECK(fffd.encode("\xED\xA0\x80\xC0\xAF") == Ids{1, 1, 1, 1, 1});
}

}  // namespace
}  // namespace bilens::json_tokenizer_test
