#include "bilens/run/inspect_run.h"

#include <algorithm>

#include "bilens/core/progress.h"
#include "bilens/io/weights.h"
#include "bilens/tensor/shape.h"
#include "models/model_arguments.h"

namespace bilens {

namespace fs = std::filesystem;

Outcome run_inspection(const fs::path& argument) {
  const fs::path path = find_model(argument.string());
  const Weights weights(path);
  Json tensors = Json::array();
  int64_t parameters = 0, bytes = 0;
  size_t widest = 0;
  for (const auto& item : weights.tensors()) widest = std::max(widest, item.first.size());
  Outcome outcome;
  for (const auto& [name, info] : weights.tensors()) {
    tensors.push_back({{"name", name},
                       {"dtype", info.stored_as()},
                       {"shape", info.shape},
                       {"parameters", info.elements()}});
    parameters += info.elements();
    bytes += static_cast<int64_t>(info.end - info.begin);
    outcome.text += name + std::string(widest + 2 - name.size(), ' ') + info.stored_as() + "  " +
                    describe_shape(info.shape) + "\n";
  }
  const fs::path config_file = path / "config.json";
  const Json config =
      fs::is_regular_file(config_file) ? read_json(config_file, ExitCode::kBadInput) : Json(nullptr);
  if (config.is_object()) outcome.text = format_json(config) + outcome.text;
  outcome.text += format_number(static_cast<double>(parameters)) + " parameters, " +
                  format_bytes(static_cast<double>(bytes)) + "\n";
  outcome.results.push_back({{"model", path.string()},
                             {"config", config},
                             {"tensors", tensors},
                             {"parameters", parameters},
                             {"bytes", bytes}});
  return outcome;
}

}  // namespace bilens
