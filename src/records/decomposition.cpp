#include "bilens/records/decomposition.h"

#include <ATen/ATen.h>

#include "bilens/core/files.h"
#include "bilens/core/text.h"
#include "bilens/records/layer_file.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

/// A layer's file lies in the directory itself: a name with folders in it is refused.
void require_plain_name(const LayerRecord& entry, const std::string& where) {
  const fs::path name = entry.file;
  if (!name.has_parent_path() && name.filename() != ".." && !name.empty()) return;
  throw Error(ExitCode::kBadInput, {where + ".file", "the name of a file beside it", entry.file, ""});
}

void require_image_shape(const DecompositionRecord& info, const std::string& where) {
  const auto& shape = info.image_shape;
  if (shape.empty() || (shape.size() == 2 && shape[0] > 0 && shape[1] > 0)) return;
  throw Error(ExitCode::kBadInput,
              {where + ": image_shape", "null, or a height and a width", "others", "Write the file again."});
}

/// What is said of eigenpairs is said whole: a key that is missing would have its default without a word.
void require_whole_pairs(const Json& layer, const std::string& where) {
  std::vector<Problem> problems;
  for (const auto& field : PairsRecord::record().fields()) {
    if (!layer.contains(field.name))
      problems.push_back({key_path(where, field.name), "a value", "none", "Write the file again."});
  }
  if (!problems.empty()) throw Error(ExitCode::kBadInput, problems);
}

/// Counts of an entry are at most what they are counts of, and so is a rank that was not estimated.
void require_counts(const LayerRecord& entry, bool rank_is_exact, const std::string& where) {
  const auto at_most = [&](const char* key, double value, int64_t most, const char* of) {
    if (!(value > static_cast<double>(most))) return;
    throw Error(ExitCode::kBadInput, {key_path(where, key), "at most " + std::to_string(most) + ", the " + of,
                                      format("%.6g", value), "Write the file again."});
  };
  at_most("unchanged", static_cast<double>(entry.unchanged.value_or(0)), entry.n_directions, "directions");
  if (!entry.pairs) return;
  const auto& pairs = *entry.pairs;
  for (const auto& [key, count] : {std::pair{"converged", pairs.converged},
                                   {"certified", pairs.certified},
                                   {"repaired", pairs.repaired}})
    at_most(key, static_cast<double>(count), entry.n_directions, "directions");
  if (!rank_is_exact) return;
  constexpr double kRounding = 1 - 1e-9;
  for (const double rank : pairs.effective_rank.value_or(std::vector<double>()))
    at_most("effective_rank", rank * kRounding, entry.d_in, "inputs");
}

LayerDecomposition read_layer(const fs::path& directory, const LayerRecord& entry, const std::string& where) {
  require_plain_name(entry, where);
  LayerDecomposition layer;
  layer.layer = entry.layer;
  layer.d_in = entry.d_in, layer.d_hidden = entry.d_hidden, layer.d_out = entry.d_out;
  layer.dtype = entry.dtype;
  layer.input_space = entry.input_space;
  layer.directions_kind = entry.directions;
  layer.direction_names = entry.direction_names;
  layer.output_is = entry.output_is;
  layer.center = entry.center;
  layer.mean_energy_share = entry.mean_energy_share;
  const auto names = static_cast<int64_t>(layer.direction_names.size());
  if (names != 0 && names != entry.n_directions) {
    throw Error(ExitCode::kBadInput, {where + ".direction_names", std::to_string(entry.n_directions),
                                      std::to_string(names), "Write the file again."});
  }
  const bool has_factors = finds_factors(entry.method, where + ".method");
  if (!has_factors && !entry.pairs) {
    throw Error(ExitCode::kBadInput, {where, "eigenpairs: solver, k, ...", "none", "Write the file again."});
  }
  Dimensions sizes = {{"n", entry.n_directions}};
  if (entry.pairs) {
    sizes["k"] = entry.pairs->k;
    layer.pairs.solver = entry.pairs->solver;
    layer.pairs.repaired = entry.pairs->repaired;
    layer.pairs.seconds = seconds_from(entry.seconds);
  }
  const SafetensorsFile file(directory / entry.file);
  read_layer_tensors(file, layer, sizes, entry.pairs.has_value());
  if (layer.count() != entry.n_directions) {
    throw Error(ExitCode::kBadInput,
                {where + ".n_directions", std::to_string(layer.count()) + ", as in " + entry.file,
                 std::to_string(entry.n_directions), "Write the file again."});
  }
  require_counts(entry, !layer.pairs.effective_rank_error.defined(), where);
  if (!has_factors) return layer;
  layer.factors = factors_of(entry.method, entry.figures.value_or(Json()), where + ".figures", file, sizes);
  layer.factors->words = entry.words.value_or("");
  for (const auto& [name, seconds] : entry.seconds)
    if (name == entry.method) layer.factors->seconds = seconds;
  return layer;
}

}  // namespace

const RecordTable<GateRecord>& GateRecord::record() {
  using R = GateRecord;
  static const auto table = RecordTable<R>()
                                .field("name", &R::name, "What the gate is: `none`, `silu`, ...")
                                .field("source", &R::source, "Who says so.");
  return table;
}

std::vector<std::pair<std::string, NormKind>> record_names(NormKind) {
  return {{"rms", NormKind::kRms},
          {"layer", NormKind::kLayer},
          {"none", NormKind::kNone},
          {"named", NormKind::kNamed}};
}

const RecordTable<NormRecord>& NormRecord::record() {
  using R = NormRecord;
  static const auto table =
      RecordTable<R>()
          .field("kind", &R::kind, "What scales the layers' input; `named`: a norm that somebody named.")
          .field("before", &R::before, "The norm in front of the MLP that was folded in.")
          .field("gain", &R::gain, "What its weights w stand for: `w` or `1 + w`.")
          .field("behind", &R::behind, "The norm behind the MLP that was folded in.")
          .field("source", &R::source, "Who says so.");
  return table;
}

const RecordTable<DecompositionRecord>& DecompositionRecord::record() {
  using R = DecompositionRecord;
  static const auto table =
      RecordTable<R>()
          .field("version", &R::version, "Version of the bilens that wrote it.")
          .field("surrogate", &R::surrogate, "What the layers are when they are not the model's own.")
          .field("gate", &R::gate, "What the gate of the layers is.")
          .field("minus_gate", &R::minus_gate, "The same of the model that was subtracted.")
          .field("fold_norm", &R::fold_norm, "Whether a norm was folded in.")
          .field("norm", &R::norm, "What is known of the norms; null where nothing is.")
          .field("converted", &R::converted,
                 "What the model's `conversion.json` says, without its format; null where it has none.")
          .field("model", &R::model, "Path of the model.")
          .field("model_sha256", &R::model_sha256, "SHA-256 of its weights.")
          .field("minus", &R::minus, "Path of the model that was subtracted.")
          .field("minus_sha256", &R::minus_sha256, "SHA-256 of its weights.")
          .field("model_type", &R::model_type,
                 "Type of the model, where it is an image classifier: `bilinear_mlp`.")
          .field("image_shape", &R::image_shape, "Height and width of its images.", "pixels")
          .null_if_empty()
          .field("config", &R::config, "The resolved settings.")
          .field("device", &R::device, "What it was computed on.")
          .field("seconds", &R::seconds, "What the whole took.", "s")
          .not_negative()
          .field("layers", &R::layers, "One entry a layer.");
  return table;
}

std::string DecompositionRecord::doubt() const {
  if (gate || model_type == "bilinear_mlp") return "";
  return "An earlier version made this decomposition and does not record where gate and norm came from: for "
         "some models they were wrong. Decompose again.";
}

void write_decomposition(const fs::path& directory, const Decomposition& decomposition) {
  DecompositionRecord info = decomposition.info;
  info.layers.clear();
  for (const auto& layer : decomposition.layers) info.layers.push_back(to_record(layer));
  write_record_file(directory / kDecompositionFile, info);
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
  const Json json = read_json(file, ExitCode::kBadInput);
  decomposition.info = read_record_of_format<DecompositionRecord>(json, file.string());
  require_image_shape(decomposition.info, file.string());
  const auto& entries = decomposition.info.layers;
  for (size_t i = 0; i < entries.size(); ++i) {
    const auto where = file.string() + ": layers[" + std::to_string(i) + "]";
    if (entries[i].pairs) require_whole_pairs(json.at("layers").at(i), where);
    decomposition.layers.push_back(read_layer(directory, entries[i], where));
  }
  return decomposition;
}

}  // namespace bilens
