#include "bilens/core/fields.h"

#include "caught.h"

namespace bilens::fields_test {
namespace {

using test::caught;
using test::contains;

enum class Shade { kLight, kDark };

struct Inner {
  int64_t count = 3;
  static const FieldTable<Inner>& fields() {
    static const auto table = FieldTable<Inner>("Inner part.")
                                  .integer("count", &Inner::count, "How many.", between(1, 10), "things");
    return table;
  }
};

/// "2..5"
struct Span {
  int64_t from = 0, to = 1;
};

Span read_span(const Json& value, const std::string& where, std::vector<Problem>& problems) {
  const auto text = value.is_string() ? value.get<std::string>() : "";
  const auto dots = text.find("..");
  if (dots == std::string::npos) {
    problems.push_back({where, "FROM..TO", value.dump(), ""});
    return {};
  }
  return {std::stoll(text.substr(0, dots)), std::stoll(text.substr(dots + 2))};
}

Json write_span(const Span& span) { return std::to_string(span.from) + ".." + std::to_string(span.to); }

struct Outer {
  double rate = 0.5;
  int64_t size = 8;
  bool fast = false;
  std::string name = "x";
  Shade shade = Shade::kLight;
  std::optional<double> limit;
  std::optional<int64_t> k = 10;  // nothing: all
  Inner inner;
  std::optional<Inner> other;
  Span span;
  static const FieldTable<Outer>& fields() {
    static const auto table =
        FieldTable<Outer>("All kinds.")
            .number("rate", &Outer::rate, "A rate.", more_than(0.0), "1/s")
            .integer("size", &Outer::size, "A size.", at_least(1))
            .flag("fast", &Outer::fast, "Fast or not.")
            .text("name", &Outer::name, "A name.")
            .choice("shade", &Outer::shade, "A shade.", {{"light", Shade::kLight}, {"dark", Shade::kDark}})
            .optional_number("limit", &Outer::limit, "A limit.", at_least(0.0))
            .value_or("k", &Outer::k, "all",
                      {{"anyOf", {{{"type", "integer"}, {"minimum", 1}}, {{"enum", {"all"}}}}}})
            .nested("inner", &Outer::inner, Inner::fields())
            .optional("other", &Outer::other, Inner::fields(), "Another part.")
            .custom("span", &Outer::span, typed_schema("string", "From and to."), read_span, write_span);
    return table;
  }
};

/// All messages of parsing `text`, one a line.
std::string problems_of(const std::string& text) {
  std::vector<Problem> problems;
  Outer::fields().parse(parse_json(text, "t", ExitCode::kUsage), "c.json", problems);
  std::string all;
  for (const auto& problem : problems) all += problem.message() + "\n";
  return all;
}

Outer parse(const std::string& text) {
  return Outer::fields().parse_or_throw(parse_json(text, "t", ExitCode::kUsage), "c.json", ExitCode::kUsage);
}

TEST_CASE("missing keys keep their defaults, given ones are taken") {
  const Outer defaults = parse("{}");
  CHECK(defaults.rate == 0.5);
  CHECK(defaults.inner.count == 3);
  CHECK_FALSE(defaults.limit.has_value());

  const Outer given =
      parse(R"({"rate": 2, "size": 9, "fast": true, "name": "y", "shade": "dark", "limit": 1.5,
                                "k": "all", "inner": {"count": 10}, "other": {"count": 4},
                                "span": "2..5"})");
  CHECK(given.rate == 2.0);
  CHECK(given.size == 9);
  CHECK(given.fast);
  CHECK(given.name == "y");
  CHECK(given.shade == Shade::kDark);
  CHECK(given.limit == 1.5);
  CHECK_FALSE(given.k.has_value());
  CHECK(given.inner.count == 10);
  CHECK(given.other->count == 4);
  CHECK(given.span.to == 5);
}

TEST_CASE("an unknown key names the nearest known one and lists them all") {
  const auto text = problems_of(R"({"raet": 1})");
  CHECK(contains(text, "c.json: raet"));
  CHECK(contains(text, "Did you mean \"rate\"?"));
  CHECK(contains(text, "rate, size, fast, name, shade, limit, k, inner"));
  CHECK_FALSE(contains(problems_of(R"({"something else": 1})"), "Did you mean"));
  CHECK(contains(problems_of(R"({"inner": {"cuont": 1}})"), "c.json: inner.cuont"));
}

TEST_CASE("a value of another type is refused, not converted") {
  CHECK(contains(problems_of(R"({"rate": "1e-4"})"),
                 "c.json: rate: expected a number, more than 0, found the string \"1e-4\""));
  CHECK(contains(problems_of(R"({"size": 2.5})"), "expected an integer, at least 1, found 2.5"));
  CHECK(contains(problems_of(R"({"size": true})"), "found the boolean true"));
  CHECK(contains(problems_of(R"({"fast": 1})"), "expected a boolean, found 1"));
  CHECK(contains(problems_of(R"({"name": null})"), "expected a string, found null"));
  CHECK(contains(problems_of(R"({"inner": 3})"), "c.json: inner: expected an object, found 3"));
  CHECK(contains(problems_of(R"([])"), "expected an object, found the array []"));
  CHECK(contains(problems_of(R"({"limit": "none"})"), "a number or null"));
  CHECK(problems_of(R"({"limit": null})") == "");
  CHECK(contains(problems_of(R"({"k": 0})"), "an integer, at least 1 or \"all\", found 0"));
  CHECK(contains(problems_of(R"({"k": "most"})"), "found the string \"most\""));
  CHECK(contains(problems_of(R"({"other": 3})"), "c.json: other: expected null or an object, found 3"));
  CHECK(contains(problems_of(R"({"other": {"count": 0}})"), "c.json: other.count"));
  CHECK(problems_of(R"({"other": null})") == "");
  CHECK(contains(problems_of(R"({"span": 5})"), "c.json: span: expected a string, found 5"));
  CHECK(contains(problems_of(R"({"span": {"from": 5}})"), "c.json: span: expected a string"));
  CHECK(contains(problems_of(R"({"span": "5"})"), "c.json: span: expected FROM..TO, found \"5\""));
}

TEST_CASE("a whole number is an integer however it is written") {
  CHECK(parse(R"({"size": 8.0})").size == 8);
  CHECK(contains(problems_of(R"({"size": 1e300})"), "expected an integer"));
}

TEST_CASE("expectations are said in full") {
  const auto said = [](const Json& value, const Json& schema) {
    std::vector<Problem> problems;
    CHECK_FALSE(check_value(value, schema, "x", problems));
    return problems.at(0).expected + " / " + problems.at(0).found;
  };
  CHECK(said(0, integer_schema("", at_least(1048576), "")) == "an integer, at least 1048576 / 0");
  CHECK(said({1, -1}, list_schema("", integer_schema("", at_least(0), ""))) ==
        "an array, not empty, each an integer, at least 0 / the array [1,-1]");
  const auto kind = [](const char* name) -> Json {
    return {{"type", "object"}, {"properties", {{"kind", {{"enum", {name}}}}}}};
  };
  CHECK(said("b", {{"anyOf", {kind("a"), kind("b")}}}) ==
        "an object with a \"kind\", one of \"a\", \"b\" / the string \"b\"");
}

TEST_CASE("the place of a key is said as the user wrote it") {
  CHECK(key_path("", "a") == "a");
  CHECK(key_path("a", "b") == "a.b");
  CHECK(key_path("c.json", "a") == "c.json: a");
  CHECK(key_path("--", "top_k") == "--top-k");
}

TEST_CASE("numbers outside their range and integers that overflow are refused") {
  CHECK(contains(problems_of(R"({"rate": 0})"), "more than 0, found 0"));
  CHECK(contains(problems_of(R"({"rate": -1e-3})"), "found -0.001"));
  CHECK(problems_of(R"({"rate": 1e-300})") == "");
  CHECK(contains(problems_of(R"({"size": 0})"), "at least 1, found 0"));
  CHECK(problems_of(R"({"size": 1})") == "");
  CHECK(contains(problems_of(R"({"inner": {"count": 11}})"), "at most 10, found 11"));
  CHECK(problems_of(R"({"inner": {"count": 10}})") == "");
  CHECK(parse(R"({"size": 9223372036854775807})").size == INT64_MAX);
  // 2^63, 1e30 and a number beyond 64 bits.
  for (const char* text :
       {R"({"size": 9223372036854775808})", R"({"size": 1e30})", R"({"size": 99999999999999999999})"})
    CHECK(contains(problems_of(text), "c.json: size"));
}

TEST_CASE("a value that is not finite never gets through, however it was made") {
  std::vector<Problem> problems;
  for (const double value : {NAN, INFINITY, -INFINITY})
    Outer::fields().parse({{"rate", value}}, "c", problems);
  CHECK(problems.size() == 3);
  CHECK_THROWS_AS(parse_json(R"({"rate": NaN})", "c", ExitCode::kUsage), Error);
}

TEST_CASE("a wrong choice lists the choices and suggests one") {
  const auto text = problems_of(R"({"shade": "drak"})");
  CHECK(contains(text, "one of \"light\", \"dark\""));
  CHECK(contains(text, "Did you mean \"dark\"?"));
  CHECK(contains(problems_of(R"({"shade": 1})"), "found 1"));
}

TEST_CASE("all problems are reported at once") {
  const auto error = caught([] { parse(R"({"rate": "a", "size": 0, "nmae": 1, "inner": {"count": 99}})"); });
  CHECK(error.code() == ExitCode::kUsage);
  REQUIRE(error.problems().size() == 4);
  for (const char* part : {"rate", "size", "nmae", "inner.count"}) CHECK(contains(error.what(), part));
}

TEST_CASE("a required key must be given") {
  const auto table = FieldTable<Inner>("").integer("count", &Inner::count, "").required();
  CHECK(contains(caught([&] { table.parse_or_throw(Json::object(), "m.json", ExitCode::kBadInput); }).what(),
                 "m.json: count: expected a value, found none"));
  CHECK(table.parse_or_throw({{"count", 4}}, "m.json", ExitCode::kBadInput).count == 4);
  CHECK(table.schema().at("required") == Json::array({"count"}));
  CHECK_FALSE(table.schema().at("properties").at("count").contains("default"));
}

TEST_CASE("dump and parse are inverse") {
  const Json written = {{"rate", 0.1},      {"size", 4},        {"fast", true}, {"name", "n"},
                        {"shade", "dark"},  {"limit", nullptr}, {"k", 5},       {"inner", {{"count", 7}}},
                        {"other", nullptr}, {"span", "1..2"}};
  CHECK(Outer::fields().dump(parse(written.dump())) == written);
  CHECK(Outer::fields().dump(Outer{}) == Outer::fields().dump(parse(Outer::fields().dump(Outer{}).dump())));
}

TEST_CASE("the schema states type, range, unit and default of each key") {
  const Json schema = Outer::fields().schema();
  CHECK(schema.at("type") == "object");
  CHECK(schema.at("additionalProperties") == false);
  const Json& p = schema.at("properties");
  CHECK(p.size() == 10);
  CHECK(p.at("rate") == Json({{"type", "number"},
                              {"description", "A rate."},
                              {"exclusiveMinimum", 0.0},
                              {"unit", "1/s"},
                              {"default", 0.5}}));
  CHECK(p.at("shade").at("enum") == Json::array({"light", "dark"}));
  CHECK(p.at("shade").at("default") == "light");
  CHECK(p.at("limit").at("default") == nullptr);
  CHECK(p.at("other").at("default") == nullptr);
  CHECK(p.at("span").at("default") == "0..1");
  CHECK(p.at("inner").at("properties").at("count").at("default") == 3);
  CHECK(p.at("inner").at("properties").at("count").at("maximum") == 10);
}

TEST_CASE("a member knows its key, also where its struct inherits it") {
  struct More : Outer {
    int64_t extra = 1;
  };
  const auto table = FieldTable<More>("More.")
                         .integer("extra", &More::extra, "One more.")
                         .required()
                         .all_of(FieldTable<Outer>("Some.")
                                     .flag("fast", &Outer::fast, "Fast or not.")
                                     .required()
                                     .choice("shade", &Outer::shade, "A shade.",
                                             {{"light", Shade::kLight}, {"dark", Shade::kDark}}));
  CHECK(table.name_of(&More::extra) == "extra");
  CHECK(table.name_of(&Outer::shade) == "shade");
  CHECK_THROWS_AS(table.name_of(&Outer::rate), std::logic_error);
  CHECK(table.dump_without({}, &More::fast, &More::extra).dump() == R"({"shade":"light"})");
  const Json given = {{"shade", nullptr}, {"extra", 2}};
  CHECK(*table.find(given, &More::extra) == 2);
  CHECK(table.find(given, &More::shade)->is_null());
  CHECK(table.find(given, &More::fast) == nullptr);
  CHECK(table.find("text", &More::fast) == nullptr);
  CHECK(table.schema().at("required") == Json({"extra", "fast"}));
}

TEST_CASE("the path of a key tells the file from the keys") {
  CHECK(key_path("", "train") == "train");
  CHECK(key_path("train", "epochs") == "train.epochs");
  CHECK(key_path("configs/a.json", "train") == "configs/a.json: train");
  CHECK(key_path("a.json", "train") == "a.json: train");
  CHECK(key_path("configs/a.json: train", "epochs") == "configs/a.json: train.epochs");
  CHECK(key_path("C:/a.json", "train") == "C:/a.json: train");
  CHECK(key_path("--data", "dataset") == "--data: dataset");
}

}  // namespace
}  // namespace bilens::fields_test
