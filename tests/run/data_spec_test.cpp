#include "models/data_spec.h"

#include "catch.h"
#include "caught.h"
#include "models/given_data.h"

namespace bilens::data_spec_test {
namespace {

using test::caught;
using test::contains;

}  // namespace

TEST_CASE("a word names images, with their folder behind a colon") {
  CHECK(parse_data_spec("mnist-5k").dataset == ImageSet::kMnist5k);
  CHECK(parse_data_spec("mnist:data/mnist").path == "data/mnist");
  CHECK(caught([] { parse_data_spec("text:a.txt"); }).code() == ExitCode::kUsage);
  CHECK(caught([] { parse_data_spec("mnist,split=test:x"); }).code() == ExitCode::kUsage);
}

TEST_CASE("settings of a text stand behind its kind") {
  const auto tokens = parse_text_spec("tokens,dtype=uint32,split=test,held_out=0.1:a:b.bin");
  CHECK(tokens.path == "a:b.bin");
  CHECK(tokens.split == TextSplit::kTest);
  CHECK(parse_text_spec("text,split=validation:a.txt").split == TextSplit::kValidation);
  CHECK(contains(caught([] { parse_text_spec("text:"); }).what(), "text:FILE"));
  CHECK(parse_text_spec("text,split=test,keep_in=kept:a.txt").keep_in == "kept");
  CHECK(caught([] { parse_text_spec("tokens,keep_in=kept:a.bin"); }).code() == ExitCode::kUsage);
  CHECK(caught([] { parse_text_spec("text,dtype=uint32:a.txt"); }).code() == ExitCode::kUsage);
}

TEST_CASE("data that a config names are of one kind, and the other is refused") {
  std::vector<Problem> problems;
  const auto data = read_given_data({{"dataset", "text"}, {"path", "a.txt"}}, "data", problems);
  CHECK(problems.empty());
  CHECK(given_text(data)->path == "a.txt");
  CHECK(caught([&] { given_images(data); }).code() == ExitCode::kUsage);
  CHECK_FALSE(given_text(GivenData()).has_value());
  CHECK(write_given_data(GivenData()).is_null());
  read_given_data({{"path", "a.txt"}}, "data", problems);
  CHECK(problems.size() == 1);
}

}  // namespace bilens::data_spec_test
