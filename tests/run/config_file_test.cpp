#include "bilens/run/config_file.h"

#include "catch.h"
#include "caught.h"

namespace bilens::config_file_test {
namespace {

using test::caught;
using test::contains;

}  // namespace

TEST_CASE("a setting puts a value at its path, as JSON where it is JSON") {
  Json config = Json::object();
  apply_setting(config, "train.epochs=5", "--set");
  apply_setting(config, "train.name=a=b", "--set");
  apply_setting(config, "k=all", "--set");
  CHECK(config.dump() == R"({"train":{"epochs":5,"name":"a=b"},"k":"all"})");
  CHECK(caught([&] { apply_setting(config, "k.x=1", "--set"); }).code() == ExitCode::kUsage);
  CHECK(caught([&] { apply_setting(config, "k", "--set"); }).code() == ExitCode::kUsage);
  CHECK(caught([&] { apply_setting(config, "=1", "--set"); }).code() == ExitCode::kUsage);
  CHECK(caught([&] { apply_setting(config, "a..b=1", "--set"); }).code() == ExitCode::kUsage);
}

TEST_CASE("a job that is gone on with names each setting that differs") {
  const Json before = {{"k", 10}, {"device", "cpu"}, {"train", {{"seed", 1}, {"epochs", 2}}}};
  require_same_settings(before, "config.json", before);
  Json now = before;
  now["k"] = 11, now["train"]["seed"] = 2;
  const auto error = caught([&] { require_same_settings(before, "config.json", now); });
  CHECK(error.code() == ExitCode::kUsage);
  CHECK(error.problems().size() == 2);
  CHECK(contains(error.what(), "train.seed"));
}

}  // namespace bilens::config_file_test
