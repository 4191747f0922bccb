#include "bilens/records/conversion_account.h"

#include <cmath>

#include "catch.h"
#include "caught.h"
#include "temporary_folder.h"

namespace bilens::conversion_account_test {
namespace {

using test::caught;
using test::contains;

SeenBesideTeacher seen(double loss) { return {100, loss, 1.25, 0.125, 0.75, {0.5, NAN}}; }

ConversionAccount example() {
  ConversionAccount account;
  account.teacher = "models/a";
  account.teacher_sha256 = "0";
  account.calibration = CalibrationAccount{512,
                                           64,
                                           1e9,
                                           {{0.5, 0.75, 1, 0.45, 0.4, 0.3, NAN, 0.2, 3, 1}},
                                           ConversionCosts{1.5, {{1, 0.25, 0.125, 0.25}}}};
  account.teacher_parameters = 1000;
  account.parameters = 1016;
  account.trained_tokens = 4096;
  account.epochs = 0.5;
  account.validation = seen(1.5);
  account.samples = SampleTexts{"Once", "Once a", {}, "Once b"};
  return account;
}

Json through_text(const Json& json) { return parse_json(format_json(json), "a text", ExitCode::kBadInput); }

}  // namespace

TEST_CASE("the account of a conversion is written with its keys in their order, and read back") {
  const test::TemporaryFolder folder;
  const auto file = folder / ConversionAccount::kFile;
  write_record_file(file, example());
  const Json json = read_json(file, ExitCode::kBadInput);
  CHECK(
      json.dump() ==
      R"({"format":"bilens-finetune","format_version":1,"teacher":"models/a","teacher_sha256":"0",)"
      R"("converted":true,"calibration":{"tokens":512,"held_out_tokens":64,"flops":1000000000.0,"layers":[)"
      R"({"layer":1,"unit_r2":0.5,"product_r2":0.75,"degenerate_units":1,"error_lines":0.45,"error_scaled":0.4,)"
      R"("error_refitted":0.3,"ridge":null,"error":0.2,"sweeps":3}],"costs":{"teacher_loss":1.5,)"
      R"("layers":[{"layer":1,"alone":0.25,"estimate":0.125,"together":0.25}]}},)"
      R"("teacher_parameters":1000,"parameters":1016,"trained_tokens":4096,)"
      R"("training_flops":0.0,"epochs":0.5,"validation":{"tokens":100,"loss":1.5,"teacher_loss":1.25,)"
      R"("divergence":0.125,"agreement":0.75,"layer_r2":[0.5,null]},"test":null,)"
      R"("samples":{"prompt":"Once","teacher":"Once a","untrained":null,"finished":"Once b"}})");
  const auto account = read_record_file<ConversionAccount>(file);
  CHECK(through_text(record_with_format(account)) == json);
  CHECK(std::isnan(account.calibration->layers.at(0).ridge));
  CHECK_FALSE(account.untrained);
}

TEST_CASE("an account of an earlier version is read") {
  Json json = through_text(record_with_format(example()));
  for (const char* key : {"parameters", "teacher_parameters", "training_flops", "samples"}) json.erase(key);
  for (const char* key : {"held_out_tokens", "flops", "costs"}) json["calibration"].erase(key);
  json["calibration"]["layers"][0].erase("layer");
  const auto account = read_record_of_format<ConversionAccount>(json, "finetune.json");
  CHECK_FALSE(account.parameters);
  CHECK(account.calibration->tokens == 512);
}

TEST_CASE("a damaged account is refused with each key that is bad") {
  Json json = through_text(record_with_format(example()));
  json["converted"] = 3;
  json["parameters"] = -1;
  json["validation"].erase("layer_r2");
  json["test"] = {{"tokens", 3}};
  const auto error = caught([&] { read_record_of_format<ConversionAccount>(json, "finetune.json"); });
  CHECK(error.code() == ExitCode::kBadInput);
  for (const char* part : {"finetune.json: converted", "finetune.json: parameters: expected a natural number",
                           "validation.layer_r2", "test.divergence"})
    CHECK(contains(error.what(), part));
}

TEST_CASE("what goes with a converted model's weights is the account's") {
  const auto conversion = conversion_of(example());
  CHECK(record_with_format(conversion)["format"] == "bilens-conversion");
  CHECK(conversion.teacher == "models/a");
  CHECK(conversion.validation->loss == 1.5);
  CHECK_FALSE(conversion.test);
}

TEST_CASE("the record of a closed-form stage has its account's keys among its own") {
  const CalibrationRecord record{"0", std::vector<DataFile>{{"a.txt", 3, "1"}}, example().calibration};
  const Json json = through_text(record_with_format(record));
  CHECK(json["data"].dump() == R"([{"path":"a.txt","bytes":3,"sha256":"1"}])");
  CHECK(json["tokens"] == 512);
  const auto read = read_record_of_format<CalibrationRecord>(json, "calibration.json");
  CHECK(read.data->at(0).bytes == 3);
  CHECK(through_text(record_with_format(read)) == json);
}

}  // namespace bilens::conversion_account_test
