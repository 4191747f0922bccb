#include "bilens/records/record_table.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "bilens/records/record_file.h"
#include "catch.h"
#include "caught.h"
#include "temporary_folder.h"

namespace bilens::record_table_test {
namespace {

using test::caught;
using test::contains;

enum class Shade { kLight, kDark };
std::vector<std::pair<std::string, Shade>> record_names(Shade) {
  return {{"light", Shade::kLight}, {"dark", Shade::kDark}};
}

struct Settings {
  int64_t seed = 3;
  static const FieldTable<Settings>& fields() {
    static const auto table =
        FieldTable<Settings>("Settings.").integer("seed", &Settings::seed, "A seed.", at_least(0));
    return table;
  }
};

struct Counted {
  int64_t place = 0;
  std::optional<int64_t> other;
  std::vector<std::vector<std::string>> names;
  Settings settings;
  static const RecordTable<Counted>& record() {
    static const auto table = RecordTable<Counted>()
                                  .field("place", &Counted::place, "A place.")
                                  .natural()
                                  .field("other", &Counted::other, "Another one.")
                                  .natural()
                                  .field("names", &Counted::names, "On both sides.")
                                  .field("settings", &Counted::settings, "Of a run.");
    return table;
  }
};

struct Inner {
  int64_t count = 0;
  double share = 0;
  static const RecordTable<Inner>& record() {
    static const auto table = RecordTable<Inner>()
                                  .field("count", &Inner::count, "How many.", "things")
                                  .field("share", &Inner::share, "Of all.");
    return table;
  }
};

struct Outer {
  static constexpr RecordFormat kFormat = {"bilens-test", 2};
  std::string name;
  Shade shade = Shade::kLight;
  bool fast = false;
  std::optional<std::string> source;
  std::optional<int64_t> unchanged;
  std::vector<std::string> names;
  std::vector<Inner> layers;
  std::optional<Inner> other;
  std::optional<Inner> among;
  at::Tensor matrix;
  NamedNumbers seconds;
  int64_t later = 7;
  static const RecordTable<Outer>& record() {
    static const auto table = RecordTable<Outer>()
                                  .field("name", &Outer::name, "A name.")
                                  .field("shade", &Outer::shade, "A shade.")
                                  .field("fast", &Outer::fast, "Fast or not.")
                                  .field("source", &Outer::source, "Who says so.")
                                  .field("unchanged", &Outer::unchanged, "How many did not change.")
                                  .omitted()
                                  .field("names", &Outer::names, "Of directions.")
                                  .null_if_empty()
                                  .field("layers", &Outer::layers, "One a layer.")
                                  .field("other", &Outer::other, "Another.")
                                  .part(&Outer::among)
                                  .field("matrix", &Outer::matrix, "Numbers.")
                                  .field("seconds", &Outer::seconds, "Of the parts.", "s")
                                  .field("later", &Outer::later, "Of a later version.")
                                  .added_later();
    return table;
  }
};

Outer example() {
  Outer outer;
  outer.name = "x";
  outer.shade = Shade::kDark;
  outer.fast = true;
  outer.layers = {{3, 0.25}, {4, std::numeric_limits<double>::quiet_NaN()}};
  outer.among = Inner{5, 0.5};
  outer.matrix = at::tensor({1.0, 2.0, 3.0, NAN, 5.0, 6.0}).view({2, 3}).to(at::kDouble);
  outer.seconds = {{"form", 0.5}, {"solve", 2.0}};
  return outer;
}

Json through_text(const Json& json) { return parse_json(format_json(json), "a text", ExitCode::kBadInput); }

}  // namespace

TEST_CASE("A record is written with its keys in their order") {
  const Json json = through_text(record_with_format(example()));
  REQUIRE(json.dump() ==
          R"({"format":"bilens-test","format_version":2,"name":"x","shade":"dark","fast":true,"source":null,)"
          R"("names":null,"layers":[{"count":3,"share":0.25},{"count":4,"share":null}],"other":null,)"
          R"("count":5,"share":0.5,"matrix":[[1.0,2.0,3.0],[null,5.0,6.0]],)"
          R"("seconds":{"form":0.5,"solve":2.0},"later":7})");
}

TEST_CASE("A record that is read and written again is the same") {
  const test::TemporaryFolder folder;
  const auto file = folder.path() / "record.json";
  write_record_file(file, example());
  const auto outer = read_record_file<Outer>(file);
  REQUIRE(std::isnan(outer.layers[1].share));
  REQUIRE(outer.matrix[1][0].isnan().item<bool>());
  REQUIRE(outer.among->count == 5);
  REQUIRE_FALSE(outer.unchanged.has_value());
  REQUIRE(through_text(record_with_format(outer)) == through_text(record_with_format(example())));
}

TEST_CASE("A record of another version of the program is read where nothing is missing") {
  Json json = through_text(record_with_format(example()));
  json["of_a_later_version"] = 1;
  json.erase("later"), json.erase("source"), json.erase("count"), json.erase("share");
  const auto outer = read_record_of_format<Outer>(json, "record.json");
  REQUIRE(outer.later == 7);
  REQUIRE_FALSE(outer.source.has_value());
  REQUIRE_FALSE(outer.among.has_value());
}

TEST_CASE("What does not fit a record's table is named, all at once") {
  Json json = through_text(record_with_format(example()));
  json.erase("name");
  json["shade"] = "grey";
  json["layers"][1]["count"] = "four";
  json["matrix"][1] = {1.0};
  json["seconds"] = 3;
  json["fast"] = nullptr;
  const auto error = caught([&] { read_record_of_format<Outer>(json, "a/record.json"); });
  REQUIRE(error.code() == ExitCode::kBadInput);
  REQUIRE(error.problems().size() == 6);
  REQUIRE(contains(error.what(), "a/record.json: name"));
  REQUIRE(contains(error.what(), "one of \"light\", \"dark\""));
  REQUIRE(contains(error.what(), "a/record.json: layers[1].count"));
  REQUIRE(contains(error.what(), "2 lists of 3 numbers"));
  REQUIRE(contains(error.what(), "Write the file again."));
}

TEST_CASE("Numbers from 0, lists of lists and settings are read by their own rules") {
  const Counted counted{2, {}, {{"a", "b"}, {}}, {5}};
  const Json json = through_text(Counted::record().write(counted));
  REQUIRE(json.dump() == R"({"place":2,"other":null,"names":[["a","b"],[]],"settings":{"seed":5}})");
  const auto read = read_record<Counted>(json, "r.json");
  REQUIRE(read.names == counted.names);
  REQUIRE(read.settings.seed == 5);
  REQUIRE(Counted::record().fields()[2].type == "list of lists of texts");
  Json damaged = json;
  damaged["place"] = -1, damaged["other"] = -2, damaged["settings"]["seed"] = -3;
  const auto error = caught([&] { read_record<Counted>(damaged, "r.json"); });
  REQUIRE(error.problems().size() == 3);
  REQUIRE(contains(error.what(), "r.json: place: expected a natural number"));
  REQUIRE(contains(error.what(), "r.json: settings.seed"));
}

TEST_CASE("A file of another format or version is refused") {
  Json json = through_text(record_with_format(example()));
  json["format_version"] = 3;
  REQUIRE(contains(caught([&] { read_record_of_format<Outer>(json, "r.json"); }).what(), "version 3"));
  json["format"] = "bilens-other";
  REQUIRE(contains(caught([&] { read_record_of_format<Outer>(json, "r.json"); }).what(),
                   "bilens-test, version 2"));
  REQUIRE(contains(caught([&] { read_record_of_format<Outer>(Json::array(), "r.json"); }).what(), "array"));
}

TEST_CASE("A table says of each key what the documents say") {
  const auto fields = Outer::record().fields();
  REQUIRE(fields[1].type == "\"light\", \"dark\"");
  REQUIRE(fields[5].type == "list of texts or null");
  REQUIRE(fields[6].fields.at(0).unit == "things");
  REQUIRE(fields[7].type == "object or null");
}

}  // namespace bilens::record_table_test
