#include "bilens/core/json.h"

#include <chrono>
#include <cmath>

#include "caught.h"
#include "temporary_folder.h"

namespace bilens::json_test {
namespace {

using test::caught;
using test::contains;

Error parse_error(const std::string& text) {
  return caught([&] { parse_json(text, "x.json", ExitCode::kUsage); });
}

TEST_CASE("a valid document keeps its values and the order of its keys") {
  const Json json =
      parse_json(R"( {"b": [1, -2, 2.5, true, null, "é\u00e9"], "a": {}} )", "x", ExitCode::kUsage);
  CHECK(json.dump() == R"({"b":[1,-2,2.5,true,null,"éé"],"a":{}})");
  CHECK(parse_json("7", "x", ExitCode::kUsage) == 7);
}

TEST_CASE("a document that is no JSON is refused with line and column") {
  const auto error = parse_error("{\n  \"a\": 1,\n  \"b\" 2\n}");
  CHECK(error.code() == ExitCode::kUsage);
  CHECK(error.problems().at(0).where == "x.json");
  INFO(error.what());
  // The parser stops behind the 2, the seventh character of the third line.
  CHECK(contains(error.what(), "line 3, column 7"));
  CHECK_FALSE(contains(error.what(), "json.exception"));
  CHECK(caught([] { parse_json("{", "m", ExitCode::kBadInput); }).code() == ExitCode::kBadInput);
}

TEST_CASE("the position of an error is that of the last character read") {
  CHECK(contains(parse_error("[1 2]").what(), "line 1, column 4"));
  CHECK(contains(parse_error("[1,\n\n  x]").what(), "line 3, column 3"));
  CHECK(contains(parse_error("]").what(), "line 1, column 1"));
  CHECK(contains(parse_error("{").what(), "line 1, column 1"));
}

TEST_CASE("what lenient parsers let pass is refused") {
  for (const char* text :
       {"[1,]", "{\"a\":1,}", "// note\n1", "/* note */ 1", "{'a': 1}", "[NaN]", "[Infinity]", "01", "+1",
        ".5", "1.", "\"a", "{} {}", "[1 2]", "{a: 1}", "nul", "\"\t\""}) {
    CAPTURE(text);
    CHECK(contains(parse_error(text).what(), "valid JSON"));
  }
}

TEST_CASE("an empty document is named as such") {
  for (const char* text : {"", " ", "\r\n\t "})
    CHECK(contains(parse_error(text).what(), "the file is empty"));
}

TEST_CASE("a byte-order mark and invalid UTF-8 are refused") {
  CHECK(contains(parse_error("\xEF\xBB\xBF{}").what(), "byte-order mark"));
  CHECK(contains(parse_error("\xFF\xFE{\0}\0").what(), "valid JSON"));
  // Stray continuation, overlong "/", a surrogate half, beyond U+10FFFF, cut short.
  for (const char* text : {"\"\x80\"", "\"\xC0\xAF\"", "\"\xED\xA0\x80\"", "\"\xF4\x90\x80\x80\"",
                           "\"\xE2\x82\"", "{\"\xFF\": 1}"}) {
    CHECK(contains(parse_error(text).what(), "valid JSON"));
  }
}

TEST_CASE("a key that stands twice in one object is refused") {
  CHECK(contains(parse_error(R"({"a": {"k": 1, "k": 2}})").what(), "the key \"k\" twice"));
  CHECK(contains(parse_error(R"({"k": 1, "\u006b": 2})").what(), "the key \"k\" twice"));
  // The same key in two objects is no duplicate.
  CHECK_NOTHROW(
      parse_json(R"({"a": {"k": 1}, "k": {"k": 2}, "b": [{"k": 1}, {"k": 2}]})", "x", ExitCode::kUsage));
}

TEST_CASE("nesting is limited to 64 levels, and 100,000 do not exhaust the stack") {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK_NOTHROW(parse_json(nested(64), "x", ExitCode::kUsage));
  CHECK(contains(parse_error(nested(65)).what(), "64 levels"));
  CHECK(contains(parse_error(nested(100'000)).what(), "64 levels"));
  CHECK(contains(parse_error(std::string(100'000, '[')).what(), "64 levels"));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  CHECK(contains(parse_error(objects).what(), "64 levels"));
}

TEST_CASE("numbers that a double cannot hold are refused") {
  CHECK(contains(parse_error("[1e999]").what(), "numbers that a double can hold, found 1e999"));
  CHECK(contains(parse_error("-1e999").what(), "-1e999"));
  CHECK(parse_json("1e-999", "x", ExitCode::kUsage) == 0.0);
  CHECK(parse_json("18446744073709551615", "x", ExitCode::kUsage).is_number_unsigned());
  // An integer beyond 64 bits becomes a double; the field tables then refuse it as no integer.
  CHECK(parse_json("99999999999999999999", "x", ExitCode::kUsage).is_number_float());
}

TEST_CASE("an object with many keys is read in time that grows with their number") {
  // Quadratic work, as of ordered_json's own insertion, takes minutes on this document: 3e5^2 / 2
  // comparisons.
  std::string text = "{";
  for (int i = 0; i < 300'000; ++i) text += "\"key number " + std::to_string(i) + "\":0,";
  text.back() = '}';
  const auto begin = std::chrono::steady_clock::now();
  CHECK(parse_json(text, "x", ExitCode::kUsage).size() == 300'000);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(20));
}

TEST_CASE("read_json names the file that is missing, a folder or not JSON") {
  const test::TemporaryFolder folder;
  const auto error_of = [](const std::filesystem::path& path) {
    return std::string(caught([&] { read_json(path, ExitCode::kUsage); }).what());
  };
  CHECK(contains(error_of(folder / "none.json"), "none.json: expected a file, found nothing there"));
  CHECK(contains(error_of(folder.path()), "found a folder"));
  test::write_file(folder / "bad.json", "{]");
  CHECK(contains(error_of(folder / "bad.json"), "bad.json: expected valid JSON"));
  test::write_file(folder / "good.json", "[1]");
  CHECK(read_json(folder / "good.json", ExitCode::kUsage) == Json::array({1}));
}

TEST_CASE("format_json writes null for what is not finite, and text that parses again") {
  const Json json = {{"a", {1.5, NAN, INFINITY}}, {"b", -INFINITY}, {"c", {{"d", 0.1}}}};
  const std::string text = format_json(json);
  CHECK(text.back() == '\n');
  const Json again = parse_json(text, "x", ExitCode::kUsage);
  CHECK(again.dump() == R"({"a":[1.5,null,null],"b":null,"c":{"d":0.1}})");
  // A file name need not be UTF-8; the document must be.
  CHECK_NOTHROW(parse_json(format_json({{"name", "a\xFF"}}), "x", ExitCode::kUsage));
}

TEST_CASE("describe names type and value") {
  CHECK(describe(nullptr) == "null");
  CHECK(describe(true) == "the boolean true");
  CHECK(describe("1e-4") == "the string \"1e-4\"");
  CHECK(describe(Json::array({1})) == "the array [1]");
  CHECK(describe(Json::object()) == "the object {}");
  CHECK(describe(2.5) == "2.5");
  CHECK(describe(std::string(1000, 'x')).size() < 100);
}

}  // namespace
}  // namespace bilens::json_test
