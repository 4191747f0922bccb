#include <stdexcept>

#include "bilens/train/checkpoint.h"
#include "bilens/train/metrics.h"
#include "catch.h"
#include "temporary_folder.h"

namespace bilens::checkpoint_test {
namespace {

using test::names_in;
using Names = std::set<std::string>;

void save(CheckpointStore& store, int64_t step) {
  store.save(step, [&](const std::filesystem::path& folder) {
    test::write_file(folder / "state", std::to_string(step));
    // Nothing is in its place before all of it is written.
    CHECK_FALSE(std::filesystem::exists(folder.parent_path() / ("step-" + std::to_string(step)) / "state"));
  });
}

TEST_CASE("the newest is found by number, and old ones go") {
  const test::TemporaryFolder folder;
  CheckpointStore store(folder / "checkpoints", 2);
  CHECK(store.newest_first().empty());
  save(store, 8);
  CHECK(store.newest_first().at(0).step == 8);
  save(store, 9);
  save(store, 10);  // before 9 as text
  CHECK(store.newest_first().at(0).step == 10);
  CHECK(test::read_file(store.newest_first().at(0).directory / "state") == "10");
  CHECK(names_in(folder / "checkpoints") == Names{"step-9", "step-10"});
  CHECK(names_in(folder / "checkpoints/step-10") == Names{"state", "DONE"});
}

TEST_CASE("what is incomplete, or no checkpoint, is passed over and left alone") {
  const test::TemporaryFolder folder;
  CheckpointStore store(folder.path(), 1);
  save(store, 3);
  test::write_file(folder / "step-7/state", "no DONE");
  test::write_file(folder / "step-x/DONE", "");
  test::write_file(folder / "step--9/DONE", "");
  test::write_file(folder / "step-99999999999999999999/DONE", "");
  test::write_file(folder / ".partial-1-step-8/DONE", "");
  test::write_file(folder / "other/DONE", "");
  CHECK(store.newest_first().at(0).step == 3);
  const auto before = names_in(folder.path());
  save(store, 4);
  CHECK(store.newest_first().at(0).step == 4);
  CHECK(std::filesystem::exists(folder / "step-7/state"));
  CHECK_FALSE(std::filesystem::exists(folder / "step-3"));
  CHECK(names_in(folder.path()).size() == before.size());
}

TEST_CASE("later ones, of a run that went back, are not counted and stay") {
  const test::TemporaryFolder folder;
  CheckpointStore store(folder.path(), 1);
  save(store, 2);
  save(store, 9);
  save(store, 3);
  CHECK(names_in(folder.path()) == Names{"step-3", "step-9"});
  save(store, 4);
  CHECK(names_in(folder.path()) == Names{"step-4", "step-9"});
  CHECK(store.newest_first().size() == 2);
  CHECK(store.newest_first().front().step == 9);
  // In the place of the one from before the run went back.
  store.save(9, [](const std::filesystem::path& made) { test::write_file(made / "state", "again"); });
  CHECK(names_in(folder.path()) == Names{"step-9"});
}

TEST_CASE("a save that fails leaves the checkpoints as they were") {
  const test::TemporaryFolder folder;
  CheckpointStore store(folder.path(), 1);
  save(store, 1);
  CHECK_THROWS_AS(store.save(2, [](const auto&) { throw std::runtime_error("full"); }), std::runtime_error);
  CHECK(names_in(folder.path()) == Names{"step-1"});
  CHECK(store.newest_first().at(0).step == 1);
}

TEST_CASE("a step is saved again in place of itself") {
  const test::TemporaryFolder folder;
  CheckpointStore store(folder.path(), 2);
  save(store, 5);
  store.save(5, [](const std::filesystem::path& path) { test::write_file(path / "state", "again"); });
  CHECK(test::read_file(folder / "step-5/state") == "again");
  CHECK(names_in(folder.path()) == Names{"step-5"});
}

TEST_CASE("metrics up to the resumed step stay, the rest and the test result go") {
  const test::TemporaryFolder folder;
  const auto path = folder / "metrics.jsonl";
  // As other versions may have written them, with fewer keys or more.
  const std::string kept =
      "{\"step\":1,\"loss\":0.5}\n{\"step\":2,\"loss\":0.5,\"other\":1}\n{\"step\":2,\"split\":"
      "\"validation\"}\n";
  // A killed run may leave half a line, or anything.
  test::write_file(path, kept +
                             "{\"step\":3,\"loss\":0.5}\n{\"step\":2,\"split\":\"test\"}\nnull\n[1]\n"
                             "{\"step\":\"1\"}\n{\"step\":1,\"lo");
  { MetricsWriter writer(path, 2); }
  CHECK(test::read_file(path) == kept);
  {
    MetricsWriter writer(path, 2);
    StepMetrics metrics;
    metrics.step = 3, metrics.epoch = 0.5, metrics.grad_norm = NAN,
    metrics.loss = metrics.learning_rate = 0.25;
    metrics.tokens_per_second = 8, metrics.mfu = 0.5;
    writer.write(metrics);
    // Flushed: another program can follow the file.
    CHECK(test::read_file(path) ==
          kept +
              "{\"step\":3,\"epoch\":0.5,\"loss\":0.25,\"grad_norm\":null,\"lr\":0.25,"
              "\"tokens_per_second\":8.0,\"mfu\":0.5}\n");
  }
  { MetricsWriter writer(path, 0); }
  CHECK(test::read_file(path).empty());
}

}  // namespace
}  // namespace bilens::checkpoint_test
