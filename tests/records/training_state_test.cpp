#include "bilens/records/training_state.h"

#include <ATen/ATen.h>

#include "bilens/records/document_losses.h"
#include "bilens/records/environment.h"
#include "catch.h"
#include "caught.h"
#include "temporary_folder.h"

namespace bilens::training_state_test {
namespace {

using test::caught;
using test::contains;

const char* const kState =
    R"({"format":"bilens-checkpoint","format_version":1,"step":7,"total_steps":9,)"
    R"("data":[{"path":"a.txt","bytes":3,"sha256":"1"}],"skipped_steps":1,"skipped_in_a_row":0,"last_loss":0.5,)"
    R"("loss_spikes":{"mean":1.5,"variance":0.25,"steps":7,"count":0}})";

Json state_json() { return parse_json(kState, "a text", ExitCode::kBadInput); }

}  // namespace

TEST_CASE("the state of a run that is read and written again is the same") {
  const auto state = read_record_of_format<TrainingState>(state_json(), "trainer.json");
  CHECK(state.data->at(0).path == "a.txt");
  CHECK(state.loss_spikes->mean == 1.5);
  CHECK(record_with_format(state).dump() == kState);
}

TEST_CASE("a state of an earlier version does not say what the run reads") {
  Json json = state_json();
  for (const char* key : {"data", "loss_spikes", "skipped_steps"}) json.erase(key);
  const auto state = read_record_of_format<TrainingState>(json, "trainer.json");
  CHECK_FALSE(state.data);
  CHECK_FALSE(state.loss_spikes);
  CHECK(state.skipped_steps == 0);
}

TEST_CASE("a damaged state is refused by its keys") {
  Json json = state_json();
  json["step"] = "7";
  json["data"] = {3};
  const auto error = caught([&] { read_record_of_format<TrainingState>(json, "trainer.json"); });
  CHECK(error.code() == ExitCode::kBadInput);
  CHECK(contains(error.what(), "trainer.json: step"));
  CHECK(contains(error.what(), "trainer.json: data[0]"));
}

TEST_CASE("the environment is written with null where there is no CUDA") {
  const Environment environment{"0.1.0", "gcc", "Release", "2.0", {}, "cpu", 2};
  CHECK(record_with_format(environment).dump() ==
        R"({"format":"bilens-environment","format_version":1,"version":"0.1.0","compiler":"gcc",)"
        R"("build":"Release","libtorch":"2.0","cuda":null,"device":"cpu","threads":2})");
}

TEST_CASE("losses by document are written under their names and read back") {
  const test::TemporaryFolder folder;
  const auto file = folder / DocumentLosses::kFile;
  const DocumentLosses losses{at::tensor({2, 3}, at::kLong), at::rand({2}, at::kDouble),
                              at::rand({2}, at::kDouble)};
  write_safetensors(file, DocumentLosses::tensors().write(losses, "", {}),
                    format_metadata(DocumentLosses::kFormat));
  DocumentLosses read;
  Dimensions dimensions;
  DocumentLosses::tensors().read(SafetensorsFile(file), "", read, dimensions);
  CHECK(read.teacher_losses.equal(losses.teacher_losses));
  CHECK(dimensions == Dimensions{{"n", 2}});
}

}  // namespace bilens::training_state_test
