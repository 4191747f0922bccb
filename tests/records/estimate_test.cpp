#include "bilens/records/estimate.h"

#include "bilens/records/training_result.h"
#include "catch.h"

namespace bilens::estimate_test {

TEST_CASE("an estimate says what is known, and null for a time that is not") {
  Estimate estimate;
  estimate.memory_bytes = 3;
  CHECK(Estimate::record().write(estimate).dump() == R"({"memory_bytes":3,"disk_bytes":0,"seconds":0.0})");
  estimate.device_memory_bytes = 4;
  estimate.seconds.reset();
  estimate.memory = TrainingMemory{1, 2, 3, 4, {}};
  CHECK(Estimate::record().write(estimate).dump() ==
        R"({"memory_bytes":3,"device_memory_bytes":4,)"
        R"("memory":{"weights":1,"gradients":2,"moments":3,"activations":4},"disk_bytes":0,"seconds":null})");
  estimate.memory->conversion = ConversionMemory{5, 6, 7};
  CHECK(TrainingMemory::record().write(*estimate.memory).dump() ==
        R"({"weights":1,"gradients":2,"moments":3,"activations":4,)"
        R"("teacher":5,"closed_form":6,"comparison":7})");
}

TEST_CASE("a result of training leaves out what it does not have") {
  TextResult text;
  text.model = "a";
  CHECK(TextResult::record().write(text).dump() == R"({"model":"a"})");
  RunFigures figures;
  figures.images_per_second = 2;
  CHECK(RunFigures::record().write(figures).dump() ==
        R"({"steps":0,"skipped_steps":0,"loss_spikes":0,"images_per_second":2.0,"peak_memory_bytes":0})");
}

}  // namespace bilens::estimate_test
