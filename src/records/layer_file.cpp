#include "bilens/records/layer_file.h"

#include <ATen/ATen.h>

#include <utility>
#include <vector>

#include "bilens/core/files.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr const char* kProgress = ".progress.json";

fs::path progress_path(const fs::path& directory, int64_t layer) {
  return directory / ("layer_" + std::to_string(layer) + kProgress);
}

/// What an earlier run left on record of this layer, if anything.
std::optional<LayerProgress> read_progress(const fs::path& path, const std::string& run) {
  if (!fs::exists(path)) return std::nullopt;
  std::vector<Problem> problems;
  const auto progress =
      LayerProgress::record().read(read_json(path, ExitCode::kBadInput), path.string(), problems);
  for (auto& problem : problems) problem.fix = "Remove the folder.";
  if (!problems.empty()) throw Error(ExitCode::kBadInput, problems);
  if (progress.run != run) {
    throw Error(ExitCode::kUsage, {path.string(), "the beginning of this run", "that of another",
                                   "Run with the config it was begun with, or name another --out."});
  }
  return progress;
}

/// How its eigenpairs were found, if it has any.
void summarize(const EigenPairs& pairs, LayerProgress& progress) {
  progress.solver = pairs.solver;
  progress.repaired = pairs.repaired;
  progress.seconds = to_named(pairs.seconds);
}

void take_summary(const LayerProgress& progress, EigenPairs& pairs) {
  if (progress.solver) pairs.solver = *progress.solver;
  pairs.repaired = progress.repaired;
  pairs.seconds = seconds_from(progress.seconds);
}

}  // namespace

const RecordTable<LayerProgress>& LayerProgress::record() {
  using R = LayerProgress;
  static const auto table =
      RecordTable<R>()
          .field("run", &R::run, "SHA-256 of what is computed: settings, weights, directions.")
          .field("directions", &R::directions, "Directions that are finished; with eigenpairs.")
          .omitted()
          .field("figures", &R::figures, "As in `decomposition.json`; with another method.")
          .omitted()
          .field("words", &R::words, "As in `decomposition.json`; with another method.")
          .omitted()
          .field("factor_seconds", &R::factor_seconds, "What the other method took.", "s")
          .omitted()
          .field("solver", &R::solver, "How the eigenpairs are found.")
          .omitted()
          .field("repaired", &R::repaired, "Directions where the probe found a missing eigenpair.")
          .field("seconds", &R::seconds, "What each part of the work took so far.", "s");
  return table;
}

LayerFile::LayerFile(const fs::path& directory, LayerDecomposition head, std::string run)
    : path_(directory / layer_file_name(head.layer)),
      progress_(progress_path(directory, head.layer)),
      head_(std::move(head)),
      run_(std::move(run)) {
  const auto left = read_progress(progress_, run_);
  if (!left) return;
  done_ = left->directions.value_or(0);
  take_summary(*left, summary_);
  if (!fs::exists(path_)) rows_ = std::make_unique<SafetensorsRows>(path_);
}

void LayerFile::create(const EigenPairs& pairs) {
  const auto head = LayerDecomposition::tensors().write(head_, "", head_.dimensions());
  std::vector<TensorSpec> specs;
  for (const auto& [name, tensor] : head) specs.push_back({name, tensor.scalar_type(), tensor.sizes().vec()});
  for (const auto& [name, tensor] : EigenPairs::tensors().write(pairs, "", {{"d_in", head_.d_in}})) {
    auto shape = tensor.sizes().vec();
    shape.front() = head_.count();  // these are the first directions' alone
    specs.push_back({name, tensor.scalar_type(), shape});
  }
  rows_ = std::make_unique<SafetensorsRows>(path_, specs, format_metadata(kLayerFormat));
  for (const auto& [name, tensor] : head) rows_->write(name, 0, tensor);
}

void LayerFile::write(int64_t first, const EigenPairs& pairs) {
  if (rows_ == nullptr) create(pairs);
  for (const auto& [name, tensor] : EigenPairs::tensors().write(pairs, "", {{"d_in", head_.d_in}}))
    rows_->write(name, first, tensor);
  rows_->sync();
  done_ = first + pairs.size();
  summary_.solver = pairs.solver;
  summary_.repaired += pairs.repaired;
  add_seconds(summary_.seconds, pairs.seconds);
  record();
}

void LayerFile::record() const {
  LayerProgress progress;
  progress.run = run_;
  progress.directions = done_;
  summarize(summary_, progress);
  write_record_text(progress_, LayerProgress::record().write(progress));
}

LayerDecomposition LayerFile::finish() {
  if (rows_ != nullptr) rows_->commit();
  rows_.reset();
  LayerDecomposition layer = head_;
  layer.pairs.solver = summary_.solver;
  layer.pairs.repaired = summary_.repaired;
  layer.pairs.seconds = summary_.seconds;
  Dimensions sizes = {{"n", layer.count()}};
  read_layer_tensors(SafetensorsFile(path_), layer, sizes, true);
  return layer;
}

void write_factors(const fs::path& directory, const LayerDecomposition& layer, const std::string& run) {
  auto sizes = layer.dimensions();
  NamedTensors tensors = LayerDecomposition::tensors().write(layer, "", sizes);
  LayerProgress progress;
  const auto add = [&](const NamedTensors& more) { tensors.insert(tensors.end(), more.begin(), more.end()); };
  if (layer.has_pairs()) {
    sizes["k"] = layer.pairs.k();
    add(EigenPairs::tensors().write(layer.pairs, "", sizes));
    summarize(layer.pairs, progress);
  }
  add(layer.factors->tensors(sizes));
  write_safetensors(directory / layer_file_name(layer.layer), tensors, format_metadata(kLayerFormat));
  progress.run = run;
  progress.figures = layer.factors->figures();
  progress.words = layer.factors->words;
  progress.factor_seconds = layer.factors->seconds;
  write_record_text(progress_path(directory, layer.layer), LayerProgress::record().write(progress));
}

bool read_finished_factors(const fs::path& directory, LayerDecomposition& layer, const std::string& method,
                           const std::string& run) {
  const auto path = progress_path(directory, layer.layer);
  const auto left = read_progress(path, run);
  if (!left) return false;
  const SafetensorsFile file(directory / layer_file_name(layer.layer));
  const bool pairs = file.tensors().count("eigenvalues") != 0;
  Dimensions sizes = {{"n", layer.count()}};
  read_layer_tensors(file, layer, sizes, pairs);
  if (pairs) take_summary(*left, layer.pairs);
  layer.factors =
      factors_of(method, left->figures.value_or(Json()), path.string() + ": figures", file, sizes);
  layer.factors->words = left->words.value_or("");
  layer.factors->seconds = left->factor_seconds.value_or(0);
  return true;
}

void read_layer_tensors(const WeightFile& file, LayerDecomposition& layer, Dimensions& sizes, bool pairs) {
  sizes["d_in"] = layer.d_in, sizes["d_out"] = layer.d_out;
  LayerDecomposition::tensors().read(file, "", layer, sizes);
  if (pairs) EigenPairs::tensors().read(file, "", layer.pairs, sizes);
}

void remove_progress(const fs::path& directory) {
  std::vector<fs::path> records;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().filename().string().ends_with(kProgress)) records.push_back(entry.path());
  }
  for (const auto& record : records) fs::remove(record);
}

}  // namespace bilens
