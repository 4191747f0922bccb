#include "bilens/records/image_explanation.h"

#include <ATen/ATen.h>

#include "catch.h"
#include "caught.h"
#include "temporary_folder.h"

namespace bilens::image_explanation_record_test {
namespace {

using test::caught;
using test::contains;

ImageExplanationRecord example() {
  ImageExplanationRecord record;
  record.model = "runs/a/model", record.input = "test:7", record.label = 9;
  record.image_shape = {2, 3};
  record.pixel_mean = 0.1, record.pixel_std = 0.3;
  record.center = Center::kMean;
  record.prediction = 0;
  record.classes = {{0, 1.5, 1.25, 0.5, 0.0, 0.25, {{0, 3, 2.0, -0.5, 0.5}}, 0.5}};
  return record;
}

Json through_text(const Json& json) { return parse_json(format_json(json), "a text", ExitCode::kBadInput); }

TEST_CASE("An image's explanation is written with its keys in their order and read back") {
  const test::TemporaryFolder folder;
  write_record_file(folder / "explanation.json", example());
  const Json json = read_json(folder / "explanation.json", ExitCode::kBadInput);
  CHECK(
      json.dump() ==
      R"({"format":"bilens-explanation","format_version":1,"model":"runs/a/model","input":"test:7","label":9,)"
      R"("image_shape":[2,3],"pixel_mean":0.1,"pixel_std":0.3,"input_space":"input","center":"mean",)"
      R"("prediction":0,"classes":[{"class":0,"logit":1.5,"sum":1.25,"shared":0.5,"direct":0.0,"linear":0.25,)"
      R"("terms":[{"layer":0,"index":3,"eigenvalue":2.0,"projection":-0.5,"contribution":0.5}],)"
      R"("other_terms":0.5}]})");
  const auto read = read_record_file<ImageExplanationRecord>(folder / "explanation.json");
  CHECK(through_text(record_with_format(read)) == json);
}

TEST_CASE("An image's explanation of an earlier version lacks what is shared and how it is centred") {
  Json json = through_text(record_with_format(example()));
  json.erase("center"), json["classes"][0].erase("shared"), json["label"] = nullptr;
  const auto read = read_record_of_format<ImageExplanationRecord>(json, "explanation.json");
  CHECK_FALSE(read.center.has_value());
  CHECK(read.classes[0].shared == 0.0);
  CHECK_FALSE(read.label.has_value());
}

TEST_CASE("What is damaged in an image's explanation is named") {
  Json json = through_text(record_with_format(example()));
  json["label"] = -1;
  json["input_space"] = "pixels";
  json["classes"][0]["terms"][0]["index"] = -3;
  json["classes"][0].erase("logit");
  const auto error = caught([&] { read_record_of_format<ImageExplanationRecord>(json, "explanation.json"); });
  CHECK(error.code() == ExitCode::kBadInput);
  CHECK(error.problems().size() == 4);
  for (const char* place : {"label", "input_space", "classes[0].logit", "classes[0].terms[0].index"})
    CHECK(contains(error.what(), std::string("explanation.json: ") + place));
}

TEST_CASE("An explanation's tensors have the names, the shapes and the numbers of their tables") {
  CHECK(ExplanationVector::name(9, 2) == "class_9.term_2");
  const auto image = ExplainedImage::tensors().write({at::zeros({2, 3}, at::kByte)}, "", {});
  CHECK(image.front().first == "image");
  CHECK(contains(caught([] {
                   ExplainedImage::tensors().write({at::zeros({2, 3})}, "", {});
                 }).what(),
                 "uint8"));
  const auto wrong = [] {
    ExplanationVector::tensors().write({at::zeros({4})}, ExplanationVector::name(0, 1), {{"d_in", 6}});
  };
  CHECK(contains(caught(wrong).what(), "class_0.term_1"));
}

}  // namespace
}  // namespace bilens::image_explanation_record_test
