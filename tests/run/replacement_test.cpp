#include <ATen/ATen.h>

#include "bilens/io/safetensors.h"
#include "bilens/records/decomposition.h"
#include "bilens/records/layer_file.h"
#include "catch.h"
#include "caught.h"
#include "decompose/replacement.h"
#include "temporary_folder.h"

namespace bilens::replacement_test {
namespace {

using test::caught;
using test::contains;
using test::write_file;

void write_layer(const std::filesystem::path& path, const std::string& format) {
  write_safetensors(path, {{"x", at::ones({1})}}, {{"format", format}});
}

}  // namespace

TEST_CASE("a folder holds a decomposition where all that is in it is one, and a layer is among it") {
  const test::TemporaryFolder folder;
  CHECK_FALSE(holds_decomposition(folder / "missing"));
  CHECK_FALSE(holds_decomposition(folder.path()));
  write_file(folder / "study.json", "{}");
  CHECK_FALSE(holds_decomposition(folder.path()));
  write_layer(folder / "layer_0.safetensors", kLayerFormat.name);
  CHECK(holds_decomposition(folder.path()));
  write_file(folder / "notes.txt", "mine");
  CHECK_FALSE(holds_decomposition(folder.path()));
}

TEST_CASE("a file of somebody else's is no layer for its name's sake") {
  const test::TemporaryFolder folder;
  write_layer(folder / "layer_0.safetensors", "pt");
  CHECK_FALSE(holds_decomposition(folder.path()));
  write_file(folder / "layer_0.safetensors", "damaged");
  CHECK_FALSE(holds_decomposition(folder.path()));
  const auto refused = caught([&] { Replacement replacement(folder.path()); });
  CHECK(refused.code() == ExitCode::kUsage);
  CHECK(contains(refused.what(), "layer_0.safetensors"));
}

TEST_CASE("until it is whole, what it takes the place of stays") {
  const test::TemporaryFolder parent;
  const auto folder = parent / "decomposition";
  std::filesystem::create_directory(folder);
  write_layer(folder / "layer_0.safetensors", kLayerFormat.name);
  {
    const Replacement left(folder);
    write_layer(left.path() / "layer_1.safetensors", kLayerFormat.name);
  }
  CHECK(test::names_in(folder) == std::set<std::string>{"layer_0.safetensors"});
  {
    Replacement replacement(folder);
    write_layer(replacement.path() / "layer_2.safetensors", kLayerFormat.name);
    replacement.commit();
  }
  CHECK(test::names_in(folder) == std::set<std::string>{"layer_2.safetensors"});
}

}  // namespace bilens::replacement_test
