#include "bilens/records/decomposition.h"

#include <ATen/ATen.h>

#include "bilens/core/files.h"
#include "bilens/records/layer_file.h"
#include "catch.h"
#include "caught.h"
#include "temporary_folder.h"

namespace bilens::decomposition_test {
namespace {

using test::caught;
using test::contains;

constexpr int64_t kN = 2, kK = 3, kIn = 5, kOut = 4;

LayerDecomposition head() {
  LayerDecomposition layer;
  layer.layer = 1, layer.d_in = kIn, layer.d_hidden = 6, layer.d_out = kOut;
  layer.center = Center::kMean;
  layer.directions_kind = DirectionKind::kRandom;
  layer.directions = at::rand({kN, kOut}, at::kFloat);
  layer.linear = at::rand({kN, kIn}, at::kDouble);
  layer.constant = at::rand({kN}, at::kDouble);
  return layer;
}

EigenPairs pairs_of(int64_t n) {
  EigenPairs pairs;
  pairs.solver = EigenSolver::kLanczos;
  pairs.eigenvalues = at::rand({n, kK}, at::kDouble);
  pairs.eigenvectors = at::rand({n, kK, kIn}, at::kFloat);
  pairs.residuals = at::rand({n, kK}, at::kDouble);
  pairs.trace = at::rand({n}, at::kDouble);
  pairs.effective_rank = at::full({n}, 2.5, at::kDouble);
  pairs.converged = at::ones({n}, at::kByte);
  pairs.repaired = 1;
  pairs.seconds.solve = 0.5;
  return pairs;
}

JointFactors joint() {
  JointFactors found;
  found.objective = 2.0, found.converged = true;
  found.vectors = at::rand({kK, kIn}, at::kFloat);
  found.values = at::rand({kN, kK}, at::kDouble);
  found.diagonal_energy = at::rand({kK}, at::kDouble);
  found.history = at::rand({7}, at::kDouble);
  found.start_objectives = at::rand({4}, at::kDouble);
  found.measure = {at::rand({kK}, at::kDouble), at::rand({kK}, at::kDouble), at::rand({kK}, at::kDouble)};
  return found;
}

/// A decomposition of one layer, written as the command writes it.
void write(const std::filesystem::path& folder) {
  Decomposition decomposition;
  decomposition.info.model = "m", decomposition.info.gate = GateRecord{"none", "--gate"};
  decomposition.info.config = {{"k", kK}};
  LayerFile file(folder, head(), "run");
  file.write(0, pairs_of(1));
  file.write(1, pairs_of(1));
  decomposition.layers = {file.finish()};
  write_decomposition(folder, decomposition);
}

/// What refuses a decomposition.json that `change` was made to.
template <class Change>
std::string refusal(const test::TemporaryFolder& folder, const Change& change) {
  const auto file = folder.path() / kDecompositionFile;
  const Json whole = read_json(file, ExitCode::kBadInput);
  Json changed = whole;
  change(changed);
  write_text(file, format_json(changed));
  const auto error = caught([&] { read_decomposition(folder.path()); });
  CHECK(error.code() == ExitCode::kBadInput);
  write_text(file, format_json(whole));
  return error.what();
}

}  // namespace

TEST_CASE("a decomposition is read as it was written, direction by direction") {
  const test::TemporaryFolder folder;
  write(folder.path());
  const auto read = read_decomposition(folder.path());
  CHECK(read.info.gate->source == "--gate");
  CHECK(read.info.doubt().empty());
  REQUIRE(read.layers.size() == 1);
  const auto& layer = read.layers.front();
  CHECK(layer.method() == "eigen");
  CHECK(layer.center == Center::kMean);
  CHECK(layer.directions_kind == DirectionKind::kRandom);
  CHECK(layer.pairs.solver == EigenSolver::kLanczos);
  CHECK(layer.pairs.repaired == 2);
  CHECK(layer.pairs.seconds.solve == 1.0);
  CHECK(layer.pairs.eigenvectors.sizes() == at::IntArrayRef({kN, kK, kIn}));
  CHECK_FALSE(layer.pairs.certified_bound.defined());
  CHECK(std::filesystem::exists(folder.path() / "layer_1.progress.json") == false);
}

TEST_CASE("factors are read as they were written, and gone on with") {
  const test::TemporaryFolder folder;
  auto layer = head();
  layer.factors = Factors{joint(), "3 shared vectors", 1.25};
  write_factors(folder.path(), layer, "run");
  auto left = head();
  REQUIRE(read_finished_factors(folder.path(), left, "joint", "run"));
  CHECK(left.factors->words == "3 shared vectors");
  const auto& found = std::get<JointFactors>(left.factors->found);
  CHECK(found.values.equal(std::get<JointFactors>(layer.factors->found).values));
  CHECK(caught([&] { read_finished_factors(folder.path(), left, "joint", "other"); }).code() ==
        ExitCode::kUsage);
  Decomposition decomposition;
  decomposition.layers = {layer};
  write_decomposition(folder.path(), decomposition);
  const auto read = read_decomposition(folder.path()).layers.front();
  CHECK(read.method() == "joint");
  CHECK(read.factors->seconds == 1.25);
  CHECK_FALSE(read.has_pairs());
}

TEST_CASE("a description that does not fit its layer's file is refused by the place") {
  const test::TemporaryFolder folder;
  write(folder.path());
  const auto in_layer = [&](const std::string& key, const Json& value) {
    return refusal(folder, [&](Json& json) { json["layers"][0][key] = value; });
  };
  CHECK(contains(in_layer("method", "pca"), "eigen, hosvd, sparse_eigen, rotate, joint, cp"));
  CHECK(contains(in_layer("method", "joint"), "figures"));
  CHECK(contains(in_layer("file", "../layer_1.safetensors"), "a file beside it"));
  CHECK(contains(in_layer("n_directions", 3), "directions"));
  CHECK(contains(in_layer("k", 2), "eigenvalues"));
  CHECK(contains(in_layer("d_in", -5), "layers[0].d_in"));
  CHECK(contains(in_layer("d_out", 3), "directions"));
  CHECK(contains(in_layer("center", "median"), "\"none\", \"mean\""));
  CHECK(contains(in_layer("direction_names", {"one"}), "direction_names"));
  CHECK(contains(in_layer("solver", "magic"), "layers[0].solver"));
  CHECK(contains(refusal(folder, [](Json& json) { json["image_shape"] = {28}; }), "image_shape"));
  CHECK(contains(refusal(folder, [](Json& json) { json.erase("model"); }), "model"));
  CHECK(contains(refusal(folder, [](Json& json) { json["layers"] = 3; }), "layers"));
  CHECK(contains(caught([] { read_decomposition("nowhere"); }).what(), "bilens decompose MODEL"));
}

TEST_CASE("numbers of a description have their ranges") {
  const test::TemporaryFolder folder;
  write(folder.path());
  const auto in_layer = [&](const std::string& key, const Json& value) {
    return refusal(folder, [&](Json& json) { json["layers"][0][key] = value; });
  };
  CHECK(contains(in_layer("mean_energy_share", 1.5), "mean_energy_share: expected a number from 0 to 1"));
  CHECK(contains(in_layer("mean_energy_share", -0.5), "mean_energy_share"));
  CHECK(contains(in_layer("mean_energy_share", "NaN"), "mean_energy_share"));
  CHECK(contains(in_layer("worst_residual", -1e-9), "worst_residual: expected a number, at least 0"));
  CHECK(contains(in_layer("converged", -1), "converged: expected a natural number"));
  CHECK(contains(in_layer("converged", kN + 1), "converged: expected at most 2, the directions"));
  CHECK(contains(in_layer("certified", kN + 1), "certified"));
  CHECK(contains(in_layer("repaired", kN + 1), "repaired"));
  CHECK(contains(in_layer("unchanged", kN + 1), "unchanged"));
  CHECK(contains(in_layer("effective_rank", {2.5, -1}), "effective_rank"));
  CHECK(contains(in_layer("effective_rank", {2.5, kIn + 0.5}),
                 "effective_rank: expected at most 5, the inputs"));
  CHECK(contains(in_layer("seconds", {{"solve", -1}}), "seconds"));
  CHECK(contains(refusal(folder, [](Json& json) { json["seconds"] = -1; }), "seconds"));
}

TEST_CASE("figures of other methods have their ranges") {
  Json figures = JointFactors::record().write(joint());
  const auto refusals = [&](const std::string& key, const Json& value) {
    Json changed = figures;
    changed[key] = value;
    std::vector<Problem> problems;
    JointFactors::record().read(changed, "", problems);
    return problems.size();
  };
  CHECK(refusals("full_energy", 1 + 1e-12) == 0);
  CHECK(refusals("full_energy", nullptr) == 0);
  for (const char* share : {"diagonal_energy", "full_energy", "off_diagonal"}) {
    CHECK(refusals(share, 1.01) == 1);
    CHECK(refusals(share, -0.01) == 1);
  }
  for (const char* size : {"objective", "squared_norm", "gradient"}) CHECK(refusals(size, -1) == 1);
}

TEST_CASE("a layer without eigenpairs and without factors is refused") {
  const test::TemporaryFolder folder;
  write(folder.path());
  const auto words = refusal(folder, [](Json& json) {
    for (const char* key :
         {"solver", "k", "worst_residual", "converged", "certified", "repaired", "effective_rank"})
      json["layers"][0].erase(key);
  });
  CHECK(contains(words, "eigenpairs"));
}

TEST_CASE("a decomposition that does not say whose the gate is comes from an earlier version") {
  DecompositionRecord info;
  CHECK_FALSE(info.doubt().empty());
  info.model_type = "bilinear_mlp";
  CHECK(info.doubt().empty());
}

}  // namespace bilens::decomposition_test
