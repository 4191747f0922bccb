#include "bilens/analysis/results/decomposition.h"

#include <ATen/ATen.h>

#include "bilens/analysis/factors/method.h"
#include "bilens/analysis/forms/rounding_floor.h"
#include "bilens/analysis/results/layer_file.h"
#include "bilens/core/files.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr int kFormatVersion = 1;

/// null where nothing is known of any direction.
Json ranks_to_json(const at::Tensor& ranks) {
  if (ranks.isnan().all().item<bool>()) return nullptr;
  const auto dense = ranks.contiguous();
  return std::vector<double>(dense.const_data_ptr<double>(), dense.const_data_ptr<double>() + dense.numel());
}

/// What eigenpairs say of themselves.
Json describe_pairs(const EigenPairs& pairs) {
  Json entry = {{"solver", solver_name(pairs.solver)},
                {"k", pairs.k()},
                {"worst_residual", pairs.residuals.max().item<double>()},
                {"converged", pairs.converged.sum().item<int64_t>()},
                {"certified", count_certified(pairs)},
                {"repaired", pairs.repaired},
                {"effective_rank", ranks_to_json(pairs.effective_rank)},
                {"seconds", seconds_to_json(pairs.seconds)}};
  if (pairs.floor.defined()) entry["unchanged"] = unchanged_directions(pairs).numel();
  return entry;
}

Json describe_layer(const LayerDecomposition& l) {
  Json entry = {{"layer", l.layer},
                {"file", LayerFile::name(l.layer)},
                {"method", l.method},
                {"dtype", l.dtype},
                {"input_space", l.input_space},
                {"d_in", l.d_in},
                {"d_hidden", l.d_hidden},
                {"d_out", l.d_out},
                {"directions", l.directions_kind},
                {"direction_names", l.direction_names.empty() ? Json(nullptr) : Json(l.direction_names)},
                {"output_is", l.output_is},
                {"n_directions", l.count()},
                {"center", l.center},
                {"mean_energy_share", l.mean_energy_share ? Json(*l.mean_energy_share) : Json(nullptr)},
                {"has_linear", l.linear.defined()}};
  if (l.has_pairs()) entry.update(describe_pairs(l.pairs));
  if (l.factors) {
    entry["figures"] = l.factors->figures;
    entry["words"] = l.factors->words;
    entry["seconds"][l.method] = l.factors->seconds;
  }
  return entry;
}

LayerDecomposition read_layer(const fs::path& directory, const Json& entry) {
  LayerDecomposition layer;
  layer.method = entry.at("method").get<std::string>();
  layer.layer = entry.at("layer").get<int64_t>();
  layer.d_in = entry.at("d_in").get<int64_t>();
  layer.d_hidden = entry.at("d_hidden").get<int64_t>();
  layer.d_out = entry.at("d_out").get<int64_t>();
  layer.dtype = entry.at("dtype").get<std::string>();
  layer.input_space = entry.at("input_space").get<std::string>();
  layer.directions_kind = entry.at("directions").get<std::string>();
  if (const auto names = entry.find("direction_names"); names != entry.end() && !names->is_null())
    layer.direction_names = names->get<std::vector<std::string>>();
  layer.output_is = entry.at("output_is").get<std::string>();
  layer.center = entry.at("center").get<std::string>();
  layer.pairs.solver = solver_from_name(entry.value("solver", "dense"));
  layer.pairs.repaired = entry.value("repaired", int64_t{0});
  layer.pairs.seconds = seconds_from_json(entry.at("seconds"));
  if (method_named(layer.method, (directory / kDecompositionFile).string() + ": method").run) {
    layer.factors = Factors{layer.method,
                            {},
                            entry.at("figures"),
                            entry.value("words", ""),
                            entry.at("seconds").value(layer.method, 0.0)};
  }
  const auto directions = entry.at("n_directions").get<int64_t>();
  read_layer_file(directory, layer, directions, entry.value("k", int64_t{0}));
  const auto names = static_cast<int64_t>(layer.direction_names.size());
  if (names != 0 && names != directions) {
    throw Error(ExitCode::kBadInput, {(directory / kDecompositionFile).string() + ": direction_names",
                                      std::to_string(directions), std::to_string(names), ""});
  }
  return layer;
}

}  // namespace

int64_t count_certified(const EigenPairs& pairs) {
  const auto& bound = pairs.certified_bound;
  return bound.defined() ? bound.isfinite().sum().item<int64_t>() : 0;
}

std::string doubt_about(const Json& info) {
  if (info.contains("gate") || info.value("model_type", Json()) == "bilinear_mlp") return "";
  return "An earlier version made this decomposition and does not record where gate and norm came from: for "
         "some "
         "models they were wrong. Decompose again.";
}

void write_decomposition(const fs::path& directory, const Decomposition& decomposition) {
  Json info = decomposition.info;
  info["layers"] = Json::array();
  for (const auto& layer : decomposition.layers) info["layers"].push_back(describe_layer(layer));
  Json head = {{"format", "bilens-decomposition"}, {"format_version", kFormatVersion}};
  head.update(info);
  write_text(directory / kDecompositionFile, format_json(head));
  remove_progress(directory);
}

Decomposition read_decomposition(const fs::path& directory) {
  const fs::path file = directory / kDecompositionFile;
  if (!fs::exists(file)) {
    throw Error(ExitCode::kBadInput, {directory.string(), "a decomposition",
                                      fs::exists(directory) ? "no decomposition.json in it" : "nothing there",
                                      "`bilens decompose MODEL` makes one."});
  }
  Decomposition decomposition;
  decomposition.info = read_json(file, ExitCode::kBadInput);
  const Json& info = decomposition.info;
  if (!info.is_object() || info.value("format", Json()) != "bilens-decomposition" ||
      info.value("format_version", Json()) != kFormatVersion) {
    throw Error(ExitCode::kBadInput,
                {file.string(), "format bilens-decomposition, version " + std::to_string(kFormatVersion),
                 info.is_object() ? info.value("format_version", Json()).dump() : describe(info), ""});
  }
  try {
    for (const auto& entry : info.at("layers")) decomposition.layers.push_back(read_layer(directory, entry));
  } catch (const Json::exception& error) {
    throw Error(ExitCode::kBadInput,
                {file.string(), "an entry for each layer as docs/formats.md says", error.what(), ""});
  }
  decomposition.info.erase("layers");
  return decomposition;
}

}  // namespace bilens
