#include "bilens/core/kind_table.h"

#include "caught.h"

namespace bilens::kind_table_test {
namespace {

using test::contains;

struct Circle {
  double radius = 1.0;
  static const FieldTable<Circle>& fields() {
    static const auto table = FieldTable<Circle>("A circle.")
                                  .constant("kind", "circle", "Which shape.")
                                  .number("radius", &Circle::radius, "Its radius.", more_than(0.0));
    return table;
  }
};

enum class Sides { kThree, kFour };

struct Polygon {
  Sides sides = Sides::kThree;
  double length = 1.0;
  static const FieldTable<Polygon>& fields() {
    static const auto table = FieldTable<Polygon>("All sides are equal.")
                                  .choice("kind", &Polygon::sides, "Which polygon.",
                                          {{"triangle", Sides::kThree}, {"square", Sides::kFour}})
                                  .number("length", &Polygon::length, "Of a side.")
                                  .required();
    return table;
  }
};

using Shape = std::variant<std::monostate, Circle, Polygon>;

const KindTable<Shape>& shapes() {
  static const auto table =
      KindTable<Shape>("kind", "Say kind=circle.").kind(Circle::fields()).kind(Polygon::fields());
  return table;
}

/// What a text is read as; all messages go to `messages`.
std::optional<Shape> read(const std::string& text, std::string& messages) {
  std::vector<Problem> problems;
  auto shape = shapes().read(Json::parse(text), "shape", problems);
  for (const auto& problem : problems) messages += problem.message() + "\n";
  return shape;
}

std::string messages_of(const std::string& text) {
  std::string messages;
  read(text, messages);
  return messages;
}

}  // namespace

TEST_CASE("an object is read by the table of its kind, and written with the same keys") {
  for (const std::string text : {R"({"kind":"circle","radius":2.5})", R"({"kind":"square","length":2.0})",
                                 R"({"kind":"triangle","length":1.0})"}) {
    std::string messages;
    const auto shape = read(text, messages);
    CHECK(messages.empty());
    REQUIRE(shape.has_value());
    CHECK(shapes().write(*shape).dump() == text);
  }
  std::string messages;
  CHECK(std::get<Polygon>(*read(R"({"kind":"square","length":2})", messages)).sides == Sides::kFour);
  CHECK(shapes().write({}).is_null());
}

TEST_CASE("a word stands for an object of its kind") {
  std::string messages;
  CHECK(std::get<Circle>(*read(R"("circle")", messages)).radius == 1.0);
  CHECK(messages.empty());
  CHECK(contains(messages_of(R"("square")"), "shape.length: expected a value, found none"));
}

TEST_CASE("what is wrong with a kind or its keys is named, the tag among the keys") {
  CHECK(messages_of(R"({"kind":"circel"})") ==
        "shape.kind: expected one of \"circle\", \"triangle\", \"square\", found the string \"circel\". Did "
        "you mean \"circle\"?\n");
  CHECK(contains(messages_of(R"({"kind":3})"), "shape.kind: expected one of"));
  CHECK(messages_of(R"({"radius":1})") ==
        "shape.kind: expected one of \"circle\", \"triangle\", \"square\", found none. Say kind=circle.\n");
  CHECK(contains(messages_of("3"), "shape: expected an object with a kind, one of \"circle\""));
  CHECK(messages_of(R"({"kind":"circle","raduis":1})") ==
        "shape.raduis: expected a known key (kind, radius), found \"raduis\". Did you mean \"radius\"?\n");
  CHECK(contains(messages_of(R"({"kind":"circle","radius":0})"), "shape.radius: expected a number, more"));
}

TEST_CASE("a kind's schema requires its tag, which has no default") {
  const auto& schemas = shapes().schemas();
  REQUIRE(schemas.size() == 2);
  CHECK(schemas[0].at("description") == "A circle.");
  CHECK(schemas[0].at("required") == Json({"kind"}));
  CHECK(schemas[1].at("required") == Json({"kind", "length"}));
  CHECK_FALSE(schemas[1].at("properties").at("kind").contains("default"));
  CHECK(schemas[0].at("properties").at("radius").at("default") == 1.0);
  CHECK(shapes().words() == std::vector<std::string>{"circle", "triangle", "square"});
}

}  // namespace bilens::kind_table_test
