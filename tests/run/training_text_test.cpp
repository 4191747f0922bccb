#include "catch.h"
#include "caught.h"
#include "models/packing.h"
#include "train/text_parts.h"

namespace bilens::training_text_test {
namespace {

using test::caught;
using test::contains;

TextDataConfig text() {
  TextDataConfig data;
  data.path = "stories.txt";
  return data;
}

/// The problems of packing a context of 200 where longrope's angles change behind `original` tokens.
size_t packing_problems(int64_t original, Packing packing, RopeScaling scaling = RopeScaling::kLongRope) {
  DecoderConfig model;
  model.rope.scaling = scaling;
  model.rope.original_max_position_embeddings = original;
  auto data = text();
  data.context = 200;
  data.packing = packing;
  std::vector<Problem> problems;
  check_packing(model, data, "data", problems);
  return problems.size();
}

}  // namespace

TEST_CASE("documents are packed only where each has the angles that it has by itself") {
  CHECK(packing_problems(100, Packing::kDocuments) == 1);
  CHECK(packing_problems(100, Packing::kPlain) == 0);
  CHECK(packing_problems(200, Packing::kDocuments) == 0);
  for (const auto other : {RopeScaling::kLlama3, RopeScaling::kYarn, RopeScaling::kDynamic})
    CHECK(packing_problems(100, Packing::kDocuments, other) == 0);
}

TEST_CASE("a text to train on has a path, and a text a tokenizer") {
  check_training_text(text(), "data", true, false);
  const auto bare = caught([] { check_training_text({}, "data", false, false); });
  CHECK(bare.code() == ExitCode::kUsage);
  CHECK(contains(bare.what(), "data.path"));
  CHECK(contains(bare.what(), "data.tokenizer"));
}

TEST_CASE("packed ids need to know which one begins a document") {
  auto ids = text();
  ids.dataset = TextSet::kTokens;
  check_training_text(ids, "data", false, true);
  CHECK(contains(caught([&] { check_training_text(ids, "data", false, false); }).what(), "document_token"));
  ids.packing = Packing::kPlain;
  check_training_text(ids, "data", false, false);
}

TEST_CASE("no run trains on a part that is held back") {
  auto data = text();
  for (const auto split : {TextSplit::kAll, TextSplit::kTrain}) {
    data.split = split;
    check_training_text(data, "data", true, true);
  }
  for (const auto split : {TextSplit::kValidation, TextSplit::kTest}) {
    data.split = split;
    CHECK(contains(caught([&] { check_training_text(data, "data", true, true); }).what(), "data.split"));
  }
}

}  // namespace bilens::training_text_test
