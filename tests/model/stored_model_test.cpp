#include "bilens/model/stored_model.h"

#include <ATen/ATen.h>

#include "bilens/model/architecture.h"
#include "bilens/model/decoder_directory.h"
#include "bilens/model/model_directory.h"
#include "caught.h"
#include "random_decoder.h"
#include "temporary_folder.h"

namespace bilens::stored_model_test {
namespace {

NamedTensors parameters_of(const Decoder& model) {
  NamedTensors tensors;
  for (const auto& [name, tensor] : model.parameters()) tensors.emplace_back(name, tensor);
  return tensors;
}

TEST_CASE("tensors in memory are the model that they would be as files") {
  const auto decoder = test::random_model(Gate::kNone);
  const auto tensors = parameters_of(decoder);
  const test::TemporaryFolder folder;
  save_decoder(folder.path(), tensors, decoder.config());
  const StoredModel on_disk(folder.path()), in_memory("mine", tensors, on_disk.json("config.json"));
  CHECK(in_memory.is_directory());
  CHECK(in_memory.weights().sha256() == on_disk.weights().sha256());
  CHECK(in_memory.weights().is_named(tensors.front().first));
  CHECK(read_architecture(in_memory).gate == "none");
  const auto tokens = at::arange(12).view({1, 12});
  auto a = load_decoder(on_disk), b = load_decoder(in_memory);
  // Products may sum in another order where a mapped file begins at another place in a cache line.
  const auto gap = a.logits(a.final_states(tokens)) - b.logits(b.final_states(tokens));
  CHECK(gap.abs().max().item<float>() < 1e-5f);
  for (const auto& [name, tensor] : b.parameters())  // nothing was copied
    CHECK(tensor.const_data_ptr() == in_memory.weights().tensor(name).const_data_ptr());
}

TEST_CASE("what is not in memory is not looked for on the disk") {
  const StoredModel model(".", {{"a", at::ones({1})}}, nullptr);
  CHECK(model.json("CMakeLists.txt").is_null());
  CHECK(model.file("CMakeLists.txt").empty());
  CHECK(!model.is_directory());
  CHECK(read_architecture(model).type.empty());
  CHECK(test::contains(test::caught([&] { model.weights().tensor("b"); }).what(), "a tensor named b"));
  const auto twice = test::caught([] {
    StoredModel("m", {{"a", at::ones({1})}, {"a", at::ones({2})}}, nullptr);
  });
  CHECK(test::contains(twice.what(), "m: a: expected each tensor once"));
}

TEST_CASE("a file beside the weights is read once, whoever asks") {
  const test::TemporaryFolder folder;
  test::write_file(folder / "config.json", R"({"model_type": "llama"})");
  const StoredModel model(folder.path());
  const auto copy = model;
  CHECK(read_model_type(model) == "llama");
  test::write_file(folder / "config.json", R"({"model_type": "gemma"})");
  CHECK(read_model_type(copy) == "llama");
  CHECK(StoredModel(folder / "weights").directory().is_directory());
  CHECK(StoredModel(folder / "weights").json("config.json").at("model_type") == "gemma");
}

}  // namespace
}  // namespace bilens::stored_model_test
