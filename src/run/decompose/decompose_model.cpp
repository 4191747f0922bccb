#include "bilens/run/decompose_model.h"

#include <functional>

#include "bilens/core/files.h"
#include "bilens/records/layer_file.h"
#include "bilens/records/surrogate_units.h"
#include "bilens/tensor/device.h"
#include "model_decomposition.h"
#include "models/model_arguments.h"
#include "replacement.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

/// @param fill writes the files of a decomposition into a folder
void write_whole(const fs::path& out, bool overwrite, const std::function<void(const fs::path&)>& fill) {
  if (overwrite && !is_empty_directory(out)) {
    Replacement replacement(out);
    fill(replacement.path());
    return replacement.commit();
  }
  require_empty_directory(out, "Name another folder, or replace a decomposition with overwrite.");
  AtomicDirectory folder(out);
  fill(folder.path());
  folder.commit();
}

void write_layer(const fs::path& folder, const LayerDecomposition& layer) {
  if (layer.factors) return write_factors(folder, layer, "");
  LayerFile file(folder, layer, "");
  file.write(0, layer.pairs);
  file.finish();
}

/// What a folder stands for on the command line: a run's model, or a snapshot in the hub's cache.
StoredModel model_at(const StoredModel& model) {
  const bool is_folder = !model.in_memory() && fs::is_directory(model.path());
  return is_folder ? StoredModel(find_model(model.path().string())) : model;
}

}  // namespace

Decomposition decompose_model(const DecomposeModelOptions& options) {
  auto config = parse_decompose_config(options.config, options.where, options.minus.has_value());
  if (options.directions.defined()) {
    config.directions = {};
    config.directions.kind = DirectionKind::kFile;
    config.directions.given = options.directions;
  }
  set_threads(config.threads);
  std::optional<StoredModel> minus;
  if (options.minus) minus = model_at(*options.minus);
  const DecomposeInput input{model_at(options.model), minus, options.data, options.pieces, &options.config};
  const auto& out = options.out;
  if (out.empty()) return decompose_in_memory(input, config);
  if (options.resume && fs::exists(out / kDecompositionFile)) {
    check_same_job(out, input, config);
  } else if (options.overwrite && !is_empty_directory(out)) {
    Replacement replacement(out);
    decompose_into(input, config, replacement.path(), false);
    replacement.commit();
  } else if (!decompose_into(input, config, out, options.resume)) {
    check_same_job(out, input, config);
  }
  return read_decomposition(out);
}

void save_decomposition(const fs::path& out, const Decomposition& decomposition, bool overwrite) {
  write_whole(out, overwrite, [&](const fs::path& folder) {
    const auto& surrogates = decomposition.surrogates;
    if (!surrogates.empty())
      write_safetensors(folder / SurrogateUnits::kFile, surrogates, format_metadata(SurrogateUnits::kFormat));
    for (const auto& layer : decomposition.layers) write_layer(folder, layer);
    write_decomposition(folder, decomposition);
  });
}

}  // namespace bilens
