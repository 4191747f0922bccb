#include "bilens/records/prompt_explanation.h"

#include <ATen/ATen.h>

#include "catch.h"
#include "caught.h"
#include "temporary_folder.h"

namespace bilens::prompt_explanation_record_test {
namespace {

using test::caught;
using test::contains;

PromptExplanationRecord example() {
  PromptExplanationRecord record;
  record.model = "stories";
  record.surrogate.emplace();
  record.surrogate->kind = SurrogateKind::kHalf, record.surrogate->hidden_act = "silu",
  record.surrogate->meaning = "A half.";
  record.prompt = "Lily said", record.tokens = {"<s>", "▁Lily", "▁said"};
  record.token = "▁she", record.minus = "▁he";
  record.logit = 3.5, record.sum = 3.25, record.embedding = 0.25, record.rms = 1.5;
  record.layers = {{0, -0.25, 0.5, 0.0, 0.75, {}}};
  record.terms = {{{0, 2, -0.5, 2.0, -2.0}, {{"a", "b"}, {"c"}}}};
  record.other_terms = 2.5;
  return record;
}

Json through_text(const Json& json) { return parse_json(format_json(json), "a text", ExitCode::kBadInput); }

TEST_CASE("A prompt's explanation is written with its keys in their order and read back") {
  const test::TemporaryFolder folder;
  write_record_file(folder / "explanation.json", example());
  const Json json = read_json(folder / "explanation.json", ExitCode::kBadInput);
  CHECK(
      json.dump() ==
      R"({"format":"bilens-prompt-explanation","format_version":1,"model":"stories",)"
      R"("surrogate":{"kind":"half","hidden_act":"silu","meaning":"A half."},"prompt":"Lily said",)"
      R"("tokens":["<s>","▁Lily","▁said"],"token":"▁she","minus":"▁he","logit":3.5,"sum":3.25,)"
      R"("embedding":0.25,"rms":1.5,"layers":[{"layer":0,"attention":-0.25,"eigenvectors":0.5,"linear":0.0,)"
      R"("remainder":0.75}],"terms":[{"layer":0,"index":2,"eigenvalue":-0.5,"projection":2.0,)"
      R"("contribution":-2.0,"nearest":[["a","b"],["c"]]}],"other_terms":2.5})");
  const auto read = read_record_file<PromptExplanationRecord>(folder / "explanation.json");
  CHECK(through_text(record_with_format(read)) == json);
}

TEST_CASE("A bilinear model's explanation has no surrogate; the mean stands where no token is subtracted") {
  Json json = through_text(record_with_format(example()));
  json["surrogate"] = nullptr;
  json.erase("minus");
  const auto read = read_record_of_format<PromptExplanationRecord>(json, "explanation.json");
  CHECK_FALSE(read.surrogate.has_value());
  CHECK_FALSE(read.minus.has_value());
}

TEST_CASE("What is damaged in a prompt's explanation is named") {
  Json json = through_text(record_with_format(example()));
  json["tokens"][1] = 7;
  json["surrogate"].erase("meaning");
  json["layers"][0]["layer"] = -1;
  json["terms"][0]["nearest"] = "a";
  const auto error =
      caught([&] { read_record_of_format<PromptExplanationRecord>(json, "explanation.json"); });
  CHECK(error.code() == ExitCode::kBadInput);
  CHECK(error.problems().size() == 4);
  for (const char* place : {"tokens", "surrogate.meaning", "layers[0].layer", "terms[0].nearest"})
    CHECK(contains(error.what(), std::string("explanation.json: ") + place));
}

TEST_CASE("The vectors of a prompt's terms are as wide as each other") {
  CHECK(PromptVector::name(3) == "term_3");
  const test::TemporaryFolder folder;
  const auto path = folder / "explanation.safetensors";
  write_safetensors(path, {{"term_0", at::zeros({4}, at::kDouble)}, {"term_1", at::zeros({5}, at::kDouble)}},
                    format_metadata(PromptExplanationRecord::kFormat));
  const SafetensorsFile file(path);
  PromptVector found;
  Dimensions dimensions;
  PromptVector::tensors().read(file, PromptVector::name(0), found, dimensions);
  CHECK(contains(
      caught([&] { PromptVector::tensors().read(file, PromptVector::name(1), found, dimensions); }).what(),
      "explanation.safetensors: term_1"));
}

}  // namespace
}  // namespace bilens::prompt_explanation_record_test
