#include "bilens/run/decompose_model.h"

#include <ATen/ATen.h>

#include <fstream>

#include "bilens/core/files.h"
#include "bilens/tensor/random.h"
#include "catch.h"
#include "caught.h"
#include "temporary_folder.h"

namespace bilens::decompose_model_test {
namespace {

namespace fs = std::filesystem;

DecomposeModelOptions options_of(const Json& more) {
  auto generator = make_generator(at::kCPU, 7);
  const auto draw = [&](int64_t rows, int64_t columns) {
    return at::randn({rows, columns}, generator, at::dtype(at::kFloat));
  };
  const NamedTensors matrices = {{"gate", draw(9, 6)}, {"up", draw(9, 6)}, {"down", draw(4, 9)}};
  Json config = {{"weights", {{"gate", "gate"}, {"up", "up"}, {"down", "down"}}}, {"gate", "none"}, {"k", 3}};
  config.update(more);
  return {StoredModel("matrices", matrices, Json()), {}, config, "", {}, "", {}, false, false};
}

std::string bytes_of(const fs::path& file) { return read_text(file, 1 << 20, ExitCode::kBadInput); }

}  // namespace

TEST_CASE("what is found in memory is saved as the files that a folder gets") {
  const test::TemporaryFolder folder;
  for (const char* method : {"eigen", "rotate", "hosvd"}) {
    auto options = options_of({{"method", method}, {"analyses", Json::array()}});
    const auto found = decompose_model(options);
    options.out = folder.path() / method / "written";
    fs::create_directories(options.out.parent_path());
    const auto written = decompose_model(options);
    const auto saved = folder.path() / method / "saved";
    save_decomposition(saved, found, false);
    CHECK(bytes_of(saved / "layer_0.safetensors") == bytes_of(options.out / "layer_0.safetensors"));
    CHECK(written.info.config == found.info.config);
    CHECK(written.info.model_sha256 == found.info.model_sha256);
    CHECK(read_decomposition(saved).layers.size() == 1);
  }
}

TEST_CASE("a decomposition is saved over another one only when that is asked for") {
  const test::TemporaryFolder folder;
  const auto found = decompose_model(options_of(Json::object()));
  const auto out = folder.path() / "out";
  save_decomposition(out, found, false);
  CHECK(test::caught([&] { save_decomposition(out, found, false); }).code() == ExitCode::kUsage);
  save_decomposition(out, found, true);
  std::ofstream(out / "notes.txt") << "mine";
  CHECK(test::caught([&] { save_decomposition(out, found, true); }).code() == ExitCode::kUsage);
  CHECK(bytes_of(out / "notes.txt") == "mine");
}

TEST_CASE("directions in memory take the place of the config's") {
  auto options = options_of({{"directions", "axes"}});
  options.directions = at::eye(4).narrow(0, 1, 2);
  const auto found = decompose_model(options).layers.front();
  CHECK(found.directions_kind == DirectionKind::kFile);
  CHECK(found.directions.equal(options.directions));
  options.directions = at::Tensor();
  const auto axes = decompose_model(options).layers.front();
  CHECK(found.pairs.eigenvalues.allclose(axes.pairs.eigenvalues.narrow(0, 1, 2), 1e-6, 0));
  options.directions = at::ones({1, 3});
  CHECK(test::caught([&] { decompose_model(options); }).code() == ExitCode::kBadInput);
}

}  // namespace bilens::decompose_model_test
