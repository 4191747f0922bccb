#include "bilens/records/tensor_table.h"

#include <ATen/ATen.h>

#include "catch.h"
#include "caught.h"
#include "temporary_folder.h"

namespace bilens::tensor_table_test {
namespace {

using test::caught;
using test::contains;

struct Measure {
  at::Tensor entries;
  static const TensorTable<Measure>& tensors() {
    static const auto table =
        TensorTable<Measure>().tensor("entries", &Measure::entries, "", StoredAs::kFloat64, "Entries.");
    return table;
  }
};

struct Layer {
  at::Tensor values, vectors, r2, floor;
  Measure measure;
  static const TensorTable<Layer>& tensors() {
    static const auto table =
        TensorTable<Layer>()
            .tensor("values", &Layer::values, "n, k", StoredAs::kFloat64, "Eigenvalues.")
            .tensor("vectors", &Layer::vectors, "n, k, d_in", StoredAs::kRunDtype, "Eigenvectors.")
            .tensor("r2", &Layer::r2, "n, k + 1", StoredAs::kFloat32, "Of the first 0 ... k.")
            .tensor("floor", &Layer::floor, "n", StoredAs::kFloat64, "Of a difference.")
            .optional()
            .part("vector_", &Layer::measure, Measure::tensors(), "n, k");
    return table;
  }
};

Layer example() {
  return {at::rand({2, 3}, at::kDouble),
          at::rand({2, 3, 5}, at::kFloat),
          at::rand({2, 4}, at::kFloat),
          {},
          {at::rand({2, 3}, at::kDouble)}};
}

}  // namespace

TEST_CASE("Tensors are written under their names and read back") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "a.safetensors", floored = folder.path() / "b.safetensors";
  auto layer = example();
  write_safetensors(path, Layer::tensors().write(layer, "layer_0.", {}));
  Layer read;
  Dimensions dimensions;
  const SafetensorsFile file(path);
  REQUIRE(file.tensors().size() == 4);
  Layer::tensors().read(file, "layer_0.", read, dimensions);
  REQUIRE(read.vectors.equal(layer.vectors));
  REQUIRE(read.measure.entries.equal(layer.measure.entries));
  REQUIRE_FALSE(read.floor.defined());
  REQUIRE(dimensions == Dimensions{{"n", 2}, {"k", 3}, {"d_in", 5}});
  layer.floor = at::rand({2}, at::kDouble);
  write_safetensors(floored, Layer::tensors().write(layer, "", {}));
  Layer::tensors().read(SafetensorsFile(floored), "", read, dimensions);
  REQUIRE(read.floor.equal(layer.floor));
}

TEST_CASE("A tensor of another shape, of other numbers or none is refused by its name") {
  const auto refusal = [](const Layer& layer, Dimensions dimensions = {}) {
    return std::string(caught([&] { Layer::tensors().write(layer, "layer_0.", dimensions); }).what());
  };
  auto layer = example();
  layer.r2 = at::rand({2, 3}, at::kFloat);
  REQUIRE(contains(refusal(layer), "layer_0.r2"));
  REQUIRE(contains(refusal(layer), "[2, 4]"));
  layer = example();
  layer.values = layer.values.to(at::kFloat);
  REQUIRE(contains(refusal(layer), "float64"));
  layer = example();
  REQUIRE(contains(refusal(layer, {{"d_in", 4}}), "layer_0.vectors"));
  layer.measure.entries = at::rand({3, 2}, at::kDouble);
  REQUIRE(contains(refusal(layer), "layer_0.vector_entries"));

  const test::TemporaryFolder folder;
  const auto path = folder.path() / "a.safetensors";
  write_safetensors(path, {{"layer_0.values", at::rand({2, 3}, at::kDouble)}});
  Layer read;
  Dimensions dimensions;
  REQUIRE(contains(
      caught([&] { Layer::tensors().read(SafetensorsFile(path), "layer_0.", read, dimensions); }).what(),
      "vectors"));
}

}  // namespace bilens::tensor_table_test
