#include "bilens/io/sharded_safetensors.h"

#include <ATen/ATen.h>

#include "bilens/io/weights.h"
#include "catch.h"
#include "temporary_folder.h"

namespace bilens::sharded_safetensors_test {
namespace {

/// a, b, c, d of 8, 12, 40 and 4 bytes.
NamedTensors four() {
  return {
      {"a", at::ones({2})}, {"b", at::ones({3}) * 2}, {"c", at::ones({10}) * 3}, {"d", at::ones({1}) * 4}};
}

TEST_CASE("tensors that fit together are one file, without an index") {
  const test::TemporaryFolder folder;
  write_sharded_safetensors(folder.path(), four());
  CHECK(test::names_in(folder.path()) == std::set<std::string>{"model.safetensors"});
  CHECK(SafetensorsFile(folder / "model.safetensors").metadata() == Json({{"format", "pt"}}));
  CHECK(Weights(folder.path()).tensors().size() == 4);
}

TEST_CASE("shards are filled in the order given; what is too large for one stands alone") {
  const test::TemporaryFolder folder;
  write_sharded_safetensors(folder.path(), four(), {}, 16);
  const Json index = read_json(folder / "model.safetensors.index.json", ExitCode::kBadInput);
  // a; then b would exceed 16 bytes; c alone is larger; d goes with b, whose shard is still open.
  CHECK(index.at("metadata") == Json({{"total_parameters", 16}, {"total_size", 64}}));
  CHECK(index.at("weight_map") == Json({{"a", "model-00001-of-00003.safetensors"},
                                        {"b", "model-00003-of-00003.safetensors"},
                                        {"c", "model-00002-of-00003.safetensors"},
                                        {"d", "model-00003-of-00003.safetensors"}}));
  const Weights weights(folder.path());
  CHECK(weights.files().size() == 3);
  for (const auto& [name, tensor] : four()) CHECK(at::equal(weights.tensor(name), tensor));
}

TEST_CASE("a limit that is met exactly is kept") {
  const test::TemporaryFolder folder;
  write_sharded_safetensors(folder.path(), four(), {}, 20);  // a and b; c alone; d
  const Json index = read_json(folder / "model.safetensors.index.json", ExitCode::kBadInput);
  CHECK(index.at("weight_map").at("a") == index.at("weight_map").at("b"));
  CHECK(index.at("weight_map").at("d") == "model-00003-of-00003.safetensors");
}

}  // namespace
}  // namespace bilens::sharded_safetensors_test
