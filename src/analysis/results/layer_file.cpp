#include "bilens/analysis/results/layer_file.h"

#include <ATen/ATen.h>

#include <utility>
#include <vector>

#include "bilens/core/files.h"
#include "bilens/tensor/device.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

/// The one list of a layer file's tensors; "L" is LayerDecomposition, const or not.
template <class L>
auto tensor_fields(L& layer) {
  auto& p = layer.pairs;
  return std::vector<std::pair<const char*, decltype(&layer.linear)>>{
      {"directions", &layer.directions},
      {"eigenvalues", &p.eigenvalues},
      {"eigenvectors", &p.eigenvectors},
      {"residuals", &p.residuals},
      {"trace", &p.trace},
      {"frobenius", &p.frobenius},
      {"weight_energy", &p.weight_energy},
      {"vector_error", &p.vector_error},
      {"effective_rank", &p.effective_rank},
      {"effective_rank_error", &p.effective_rank_error},
      {"certified_bound", &p.certified_bound},
      {"floor", &p.floor},
      {"shift", &layer.shift},
      {"linear", &layer.linear},
      {"constant", &layer.constant},
      {"converged", &p.converged},
      {"columns", &p.columns},
      {"cluster", &p.cluster},
      {"tie_at_k", &p.tie_at_k}};
}

const Json kMetadata = {{"format", "bilens-decomposition-layer"}, {"format_version", "1"}};

const std::vector<std::pair<const char*, double EigenPairs::Seconds::*>> kSeconds = {
    {"form", &EigenPairs::Seconds::form},       {"solve", &EigenPairs::Seconds::solve},
    {"check", &EigenPairs::Seconds::check},     {"probe", &EigenPairs::Seconds::probe},
    {"certify", &EigenPairs::Seconds::certify}, {"energy", &EigenPairs::Seconds::energy}};

constexpr const char* kProgress = ".progress.json";

fs::path progress_path(const fs::path& directory, int64_t layer) {
  return directory / ("layer_" + std::to_string(layer) + kProgress);
}

/// What an earlier run left on record of this layer; null where there is nothing.
Json read_record(const fs::path& path, const std::string& run) {
  if (!fs::exists(path)) return nullptr;
  Json record = read_json(path, ExitCode::kBadInput);
  if (!record.is_object() || record.value("run", "") != run) {
    throw Error(ExitCode::kUsage, {path.string(), "the beginning of this run", "that of another",
                                   "Run with the config it was begun with, or name another --out."});
  }
  return record;
}

[[noreturn]] void refuse_record(const fs::path& path, const Json::exception& error) {
  throw Error(ExitCode::kBadInput,
              {path.string(), "a record of progress", error.what(), "Remove the folder."});
}

/// How its eigenpairs were found.
Json summary_to_json(const EigenPairs& pairs) {
  return {{"solver", solver_name(pairs.solver)},
          {"repaired", pairs.repaired},
          {"seconds", seconds_to_json(pairs.seconds)}};
}

void summary_from_json(const Json& record, EigenPairs& pairs) {
  pairs.solver = solver_from_name(record.at("solver").get<std::string>());
  pairs.repaired = record.at("repaired").get<int64_t>();
  pairs.seconds = seconds_from_json(record.at("seconds"));
}

}  // namespace

Json seconds_to_json(const EigenPairs::Seconds& seconds) {
  Json json = Json::object();
  for (const auto& [name, member] : kSeconds) json[name] = seconds.*member;
  return json;
}

EigenPairs::Seconds seconds_from_json(const Json& json) {
  EigenPairs::Seconds seconds;
  for (const auto& [name, member] : kSeconds) seconds.*member = json.value(name, 0.0);
  return seconds;
}

std::string LayerFile::name(int64_t layer) { return "layer_" + std::to_string(layer) + ".safetensors"; }

LayerFile::LayerFile(const fs::path& directory, LayerDecomposition head, std::string run)
    : directory_(directory),
      path_(directory / name(head.layer)),
      progress_(progress_path(directory, head.layer)),
      head_(std::move(head)),
      run_(std::move(run)) {
  const Json left = read_record(progress_, run_);
  if (left.is_null()) return;
  try {
    done_ = left.at("directions").get<int64_t>();
    summary_from_json(left, summary_);
  } catch (const Json::exception& error) {
    refuse_record(progress_, error);
  }
  if (!fs::exists(path_)) rows_ = std::make_unique<SafetensorsRows>(path_);
}

void LayerFile::create(const EigenPairs& pairs) {
  LayerDecomposition first = head_;
  first.pairs = pairs;
  const int64_t n = head_.count();
  std::vector<TensorSpec> specs;
  for (const auto& [name, tensor] : tensor_fields(first)) {
    if (!tensor->defined()) continue;
    auto shape = tensor->sizes().vec();
    shape.front() = n;
    specs.push_back({name, tensor->scalar_type(), shape});
  }
  rows_ = std::make_unique<SafetensorsRows>(path_, specs, kMetadata);
  for (const auto& [name, tensor] : tensor_fields(head_)) {
    if (tensor->defined()) rows_->write(name, 0, *tensor);
  }
}

void LayerFile::write(int64_t first, const EigenPairs& pairs) {
  if (rows_ == nullptr) create(pairs);
  LayerDecomposition part;
  part.pairs = pairs;
  for (const auto& [name, tensor] : tensor_fields(std::as_const(part))) {
    if (tensor->defined()) rows_->write(name, first, *tensor);
  }
  rows_->sync();
  done_ = first + pairs.size();
  summary_.solver = pairs.solver;
  summary_.repaired += pairs.repaired;
  for (const auto& [name, member] : kSeconds) summary_.seconds.*member += pairs.seconds.*member;
  record();
}

void LayerFile::record() const {
  Json left = {{"run", run_}, {"directions", done_}};
  left.update(summary_to_json(summary_));
  write_text(progress_, format_json(left));
}

LayerDecomposition LayerFile::finish() {
  if (rows_ != nullptr) rows_->commit();
  rows_.reset();
  LayerDecomposition layer = head_;
  const SafetensorsFile file(path_);
  const auto& values = file.tensors().at("eigenvalues").shape;
  read_layer_file(directory_, layer, values[0], values[1]);
  layer.pairs.solver = summary_.solver;
  layer.pairs.repaired = summary_.repaired;
  layer.pairs.seconds = summary_.seconds;
  return layer;
}

void write_factors(const fs::path& directory, const LayerDecomposition& layer, const std::string& run) {
  NamedTensors tensors = layer.factors->tensors;
  for (const auto& [name, tensor] : tensor_fields(layer)) {
    if (tensor->defined()) tensors.emplace_back(name, *tensor);
  }
  write_safetensors(directory / LayerFile::name(layer.layer), tensors, kMetadata);
  Json left = {{"run", run},
               {"figures", layer.factors->figures},
               {"words", layer.factors->words},
               {"factor_seconds", layer.factors->seconds}};
  left.update(summary_to_json(layer.pairs));
  write_text(progress_path(directory, layer.layer), format_json(left));
}

bool read_factors(const fs::path& directory, LayerDecomposition& layer, const std::string& run) {
  const auto path = progress_path(directory, layer.layer);
  const Json left = read_record(path, run);
  if (left.is_null()) return false;
  try {
    layer.factors = Factors{layer.method,
                            {},
                            left.at("figures"),
                            left.at("words").get<std::string>(),
                            left.at("factor_seconds").get<double>()};
    summary_from_json(left, layer.pairs);
  } catch (const Json::exception& error) {
    refuse_record(path, error);
  }
  const SafetensorsFile file(directory / LayerFile::name(layer.layer));
  const auto values = file.tensors().find("eigenvalues");
  read_layer_file(directory, layer, layer.count(),
                  values == file.tensors().end() ? 0 : values->second.shape.back());
  return true;
}

void read_layer_file(const fs::path& directory, LayerDecomposition& layer, int64_t n, int64_t k) {
  const SafetensorsFile file(directory / LayerFile::name(layer.layer));
  auto left = file.tensors();
  for (const auto& [name, tensor] : tensor_fields(layer)) {
    if (left.erase(name) != 0) *tensor = file.tensor(name);
  }
  if (layer.factors) {
    for (const auto& [name, info] : left) layer.factors->tensors.emplace_back(name, file.tensor(name));
  }
  const std::string where = file.path().string() + ": ";
  if (!layer.factors || layer.has_pairs()) {
    for (const char* name : {"eigenvalues", "residuals"})
      require_shape(file.tensor(name), {n, k}, where + name);
    require_shape(file.tensor("eigenvectors"), {n, k, layer.d_in}, where + "eigenvectors");
  }
  if (layer.linear.defined()) require_shape(layer.linear, {n, layer.d_in}, where + "linear");
  if (layer.constant.defined()) require_shape(layer.constant, {n}, where + "constant");
  if (layer.shift.defined()) require_shape(layer.shift, {n}, where + "shift");
  if (layer.directions.defined()) require_shape(layer.directions, {n, layer.d_out}, where + "directions");
}

void remove_progress(const fs::path& directory) {
  std::vector<fs::path> records;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().filename().string().ends_with(kProgress)) records.push_back(entry.path());
  }
  for (const auto& record : records) fs::remove(record);
}

}  // namespace bilens
