#include "bilens/model/model_directory.h"

#include <ATen/ATen.h>

#include "bilens/io/safetensors.h"
#include "caught.h"
#include "temporary_folder.h"

namespace bilens::model_directory_test {
namespace {

using test::caught;
using test::contains;

/// A saved model, to be damaged.
class Saved {
 public:
  Saved() {
    at::manual_seed(3);
    model_ = ImageClassifier(config());
    save_classifier(folder_.path(), model_);
  }

  static ClassifierConfig config() {
    ClassifierConfig c;
    c.d_input = 6, c.d_model = 4, c.d_hidden = 5, c.d_output = 3, c.n_layers = 2;
    c.image_shape = {2, 3};
    c.bias = c.residual = c.down_proj = true;
    c.gate = Gate::kGelu;
    c.pixel_mean = 0.1307, c.pixel_std = 0.3081;
    return c;
  }

  ImageClassifier& model() { return model_; }
  const test::TemporaryFolder& folder() const { return folder_; }

  Json json() const { return read_json(folder_ / "config.json", ExitCode::kBadInput); }
  void write(const Json& json) const { test::write_file(folder_ / "config.json", format_json(json)); }

  NamedTensors tensors() const {
    const SafetensorsFile file(folder_ / "model.safetensors");
    NamedTensors tensors;
    for (const auto& item : file.tensors()) tensors.emplace_back(item.first, file.tensor(item.first).clone());
    return tensors;
  }
  void write(const NamedTensors& tensors) const { write_safetensors(folder_ / "model.safetensors", tensors); }

  std::string refusal() const {
    const auto error = caught([&] { load_classifier(folder_.path(), at::kCPU); });
    CHECK(error.code() == ExitCode::kBadInput);
    return error.what();
  }

 private:
  test::TemporaryFolder folder_;
  ImageClassifier model_{nullptr};
};

TEST_CASE("a model comes back bit for bit, with its config") {
  Saved saved;
  auto loaded = load_classifier(saved.folder().path(), at::kCPU);
  const auto before = saved.model()->named_parameters(), after = loaded->named_parameters();
  CHECK(before.size() == after.size());
  for (const auto& item : before) CHECK(at::equal(item.value(), after[item.key()]));
  CHECK(ClassifierConfig::model_fields().dump(loaded->config) ==
        ClassifierConfig::model_fields().dump(Saved::config()));
  const auto x = at::randn({5, 6});
  CHECK(at::equal(saved.model()(x), loaded(x)));
  CHECK(read_model_type(saved.folder().path()) == "bilinear_mlp");

  const test::TemporaryFolder again;
  save_classifier(again.path(), loaded);
  for (const char* name : {"config.json", "model.safetensors"})
    CHECK(test::read_file(again / name) == test::read_file(saved.folder() / name));
}

TEST_CASE("a missing, extra and mis-shaped tensor is named") {
  const Saved saved;
  auto missing = saved.tensors();
  std::erase_if(missing, [](const auto& item) { return item.first == "layers.1.mlp.up_proj.weight"; });
  saved.write(missing);
  CHECK(contains(saved.refusal(), "expected a tensor named layers.1.mlp.up_proj.weight, found none"));

  const Saved other;
  auto extra = other.tensors();
  extra.emplace_back("layers.2.mlp.gate_proj.weight", at::zeros({5, 4}));
  other.write(extra);
  CHECK(contains(other.refusal(), "also layers.2.mlp.gate_proj.weight"));

  const Saved third;
  auto shaped = third.tensors();
  for (auto& [name, tensor] : shaped) {
    if (name == "head.weight") tensor = tensor.t().contiguous();
  }
  third.write(shaped);
  CHECK(contains(third.refusal(), "head.weight: expected shape [3, 4] by config.json, found shape [4, 3]"));
}

TEST_CASE("a config that contradicts itself or the weights is refused") {
  const auto refusal_with = [](const char* key, const Json& value) {
    const Saved saved;
    Json json = saved.json();
    json[key] = value;
    saved.write(json);
    return saved.refusal();
  };
  CHECK(contains(refusal_with("down_proj", false), "because down_proj is false"));
  CHECK(contains(refusal_with("image_shape", {3, 3}), "image_shape"));
  CHECK(contains(refusal_with("bias", false), "also layers.0.mlp"));
  CHECK(contains(refusal_with("n_layers", 3), "layers.2.mlp.gate_proj.weight"));
  CHECK(contains(refusal_with("d_model", 0), "at least 1"));
  CHECK(contains(refusal_with("gate", "tanh"), "one of \"none\""));
  CHECK(contains(refusal_with("n_leyers", 2), "Did you mean \"n_layers\"?"));
  CHECK(contains(refusal_with("model_type", "llama"),
                 "model_type: expected \"bilinear_mlp\", found \"llama\""));
  CHECK(contains(refusal_with("format_version", 2), "format_version: expected 1, found 2"));
}

TEST_CASE("sizes that no memory holds are refused by the header, without taking that memory") {
  const Saved saved;
  Json json = saved.json();
  json["d_hidden"] = 1 << 20;
  json["n_layers"] = 1000;  // 1000 layers of 3 * 2^20 * 4 floats
  saved.write(json);
  CHECK(contains(saved.refusal(), "layers.0.mlp.gate_proj.weight: expected shape [1048576, 4]"));
}

TEST_CASE("what is no model directory is named") {
  const test::TemporaryFolder folder;
  const auto refusal = [](const std::filesystem::path& path) {
    const auto error = caught([&] { load_classifier(path, at::kCPU); });
    CHECK(error.code() == ExitCode::kBadInput);
    return std::string(error.what());
  };
  CHECK(contains(refusal(folder / "none"), "nothing there"));
  CHECK(contains(refusal(folder.path()), "config.json"));
  test::write_file(folder / "config.json", "[]");
  CHECK(contains(refusal(folder.path()), "an object with a model_type"));
  test::write_file(folder / "config.json", "{\"model_type\": 3}");
  CHECK(contains(refusal(folder.path()), "an object with a model_type"));
  test::write_file(folder / "config.json", "{\"model_type\": \"bilinear_mlp\"}");
  CHECK(contains(refusal(folder.path()), "d_input: expected a value, found none"));
  CHECK(contains(refusal(folder / "config.json"), "a model directory, found a file"));
}

}  // namespace
}  // namespace bilens::model_directory_test
