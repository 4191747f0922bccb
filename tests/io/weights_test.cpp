#include "bilens/io/weights.h"

#include <ATen/ATen.h>

#include "bilens/core/sha256.h"
#include "bilens/io/safetensors.h"
#include "caught.h"
#include "temporary_folder.h"

namespace bilens::weights_test {
namespace {

using test::caught;
using test::contains;

/// A model in two shards: a in the first, b and c in the second.
void write_shards(const test::TemporaryFolder& folder, const std::string& first = "model-1.safetensors") {
  write_safetensors(folder / "model-1.safetensors", {{"a", at::ones({2})}});
  write_safetensors(folder / "model-2.safetensors", {{"b", at::zeros({3})}, {"c", at::ones({1})}});
  const Json index = {
      {"metadata", {{"total_size", 24}}},
      {"weight_map", {{"a", first}, {"b", "model-2.safetensors"}, {"c", "model-2.safetensors"}}}};
  test::write_file(folder / "model.safetensors.index.json", format_json(index));
}

std::string refusal(const std::filesystem::path& path) {
  const auto error = caught([&] { Weights weights(path); });
  CHECK(error.code() == ExitCode::kBadInput);
  return error.what();
}

TEST_CASE("two tensors of one new name are refused") {
  const test::TemporaryFolder folder;
  write_safetensors(folder / "model.safetensors", {{"a.x", at::ones({2})}, {"b.x", at::zeros({2})}});
  Weights weights(folder.path());
  CHECK(contains(caught([&] { weights.rename({{"a.", ""}, {"b.", ""}}); }).what(), "one tensor that is x"));
}

TEST_CASE("a file, a model directory and shards are read alike") {
  const test::TemporaryFolder folder;
  write_shards(folder);
  const Weights shards(folder.path());
  CHECK(shards.files().size() == 2);
  CHECK(shards.tensors().size() == 3);
  CHECK(at::equal(shards.tensor("a"), at::ones({2})));
  CHECK(at::equal(shards.tensor("b"), at::zeros({3})));
  CHECK(shards.contains("c"));
  CHECK_FALSE(shards.contains("d"));
  CHECK(Weights(folder / "model-1.safetensors").tensors().size() == 1);
  // model.safetensors goes before the index.
  write_safetensors(folder / "model.safetensors", {{"whole", at::ones({1})}});
  CHECK(Weights(folder.path()).contains("whole"));
  CHECK(contains(caught([&] { shards.tensor("x"); }).what(), "expected a tensor named x, found none"));
}

TEST_CASE("the hash of several files is that of their sha256sum listing") {
  const test::TemporaryFolder folder;
  write_shards(folder);
  std::string listing;
  for (const char* name : {"model-1.safetensors", "model-2.safetensors"})
    listing += sha256_of_file(folder / name) + "  " + name + "\n";
  Sha256 hash;
  hash.update(listing.data(), listing.size());
  CHECK(Weights(folder.path()).sha256() == hash.hex());
  CHECK(Weights(folder / "model-1.safetensors").sha256() == sha256_of_file(folder / "model-1.safetensors"));
}

TEST_CASE("a missing shard is named") {
  const test::TemporaryFolder folder;
  write_shards(folder);
  std::filesystem::remove(folder / "model-2.safetensors");
  CHECK(contains(refusal(folder.path()), "model-2.safetensors"));
}

TEST_CASE("a tensor that is not in the shard of the index is named") {
  const test::TemporaryFolder folder;
  write_shards(folder, "model-2.safetensors");
  CHECK(contains(refusal(folder.path()), "a: expected in model-2.safetensors"));
  write_shards(folder);
  write_safetensors(folder / "model-1.safetensors", {{"other", at::ones({2})}});
  CHECK(contains(refusal(folder.path()),
                 "a: expected in model-1.safetensors as the index says, found in no shard"));
}

TEST_CASE("an extra tensor and one that is in two shards are named") {
  const test::TemporaryFolder folder;
  write_shards(folder);
  write_safetensors(folder / "model-1.safetensors", {{"a", at::ones({2})}, {"extra", at::ones({2})}});
  CHECK(contains(refusal(folder.path()), "extra: expected listed in the index"));
  write_safetensors(folder / "model-1.safetensors", {{"a", at::ones({2})}, {"b", at::ones({2})}});
  CHECK(contains(refusal(folder.path()), "it is in two shards"));
}

TEST_CASE("an index that points outside its folder is refused") {
  const test::TemporaryFolder folder;
  for (const char* name : {"../x.safetensors", "/etc/passwd", "..", ".", "", "sub/x.safetensors", "..\\x"}) {
    CAPTURE(name);
    write_shards(folder, name);
    CHECK(contains(refusal(folder.path()), "weight_map.a: expected a plain file name"));
  }
}

TEST_CASE("an index of another form and a folder without weights are refused") {
  const test::TemporaryFolder folder;
  CHECK(contains(refusal(folder.path()), "expected model.safetensors, pytorch_model.bin or the .index.json"));
  CHECK(contains(refusal(folder / "none"), "nothing there"));
  for (const char* text : {"[]", "{}", "{\"weight_map\": []}"}) {
    test::write_file(folder / "model.safetensors.index.json", text);
    CHECK(contains(refusal(folder.path()), "weight_map"));
  }
  test::write_file(folder / "model.safetensors.index.json", "{\"weight_map\": {\"a\": 1}}");
  CHECK(contains(refusal(folder.path()), "weight_map.a"));
}

TEST_CASE("a linked shard is followed, as hub caches need it") {
  const test::TemporaryFolder folder;
  write_shards(folder);
  std::filesystem::create_directory(folder / "blobs");
  std::filesystem::rename(folder / "model-1.safetensors", folder / "blobs/0123");
  std::filesystem::create_symlink("blobs/0123", folder / "model-1.safetensors");
  CHECK(Weights(folder.path()).contains("a"));
}

TEST_CASE("PyTorch checkpoints stand for a model alone, in a directory, and in shards") {
  const test::TemporaryFolder folder;
  const std::filesystem::path fixtures = "tests/io/fixtures";
  std::filesystem::copy_file(fixtures / "state_dict.bin", folder / "pytorch_model.bin");
  const Weights whole(folder.path());
  CHECK(whole.files().size() == 1);
  CHECK(whole.tensor("embed.weight").sum().item<float>() == 15);
  CHECK(whole.sha256() == sha256_of_file(fixtures / "state_dict.bin"));
  std::filesystem::rename(folder / "pytorch_model.bin", folder / "pytorch_model-1.bin");
  test::write_file(
      folder / "pytorch_model.bin.index.json",
      R"({"weight_map": {"embed.weight": "pytorch_model-1.bin", "embed.bias": "pytorch_model-1.bin"}})");
  CHECK(Weights(folder.path()).tensors().size() == 2);
  write_safetensors(folder / "model.safetensors", {{"first", at::ones({1})}});
  CHECK(Weights(folder.path()).contains("first"));  // safetensors goes before pickles
}

TEST_CASE("what a file is called does not matter where its content says what it is") {
  const test::TemporaryFolder folder;
  std::filesystem::copy_file("tests/io/fixtures/state_dict.bin", folder / "model.safetensors");
  CHECK(Weights(folder.path()).contains("embed.bias"));
  write_safetensors(folder / "w.bin", {{"a", at::ones({1})}});
  CHECK(Weights(folder / "w.bin").contains("a"));
  for (const char* name : {"w.bin", "w.pt", "w.safetensors", "w"}) {
    test::write_file(folder / name, "nothing that anybody knows");
    CHECK(contains(refusal(folder / name), name));
  }
}

TEST_CASE("the wrappers of DataParallel and torch.compile are no part of the names") {
  const Weights weights("tests/io/fixtures/checkpoint.pth");
  CHECK(weights.tensor("embed.weight").sum().item<float>() == 15);
  CHECK(contains(caught([&] { weights.tensor("embed.bia"); }).what(), "embed.bias?"));
  const test::TemporaryFolder folder;
  write_safetensors(folder / "w", {{"module.a", at::ones({1})}, {"b", at::ones({1})}});
  CHECK(Weights(folder / "w").contains("module.a"));  // in front of some only: names as they are
}

}  // namespace
}  // namespace bilens::weights_test
