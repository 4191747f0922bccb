#include "bilens/run/inspect_run.h"

#include <algorithm>

#include "bilens/core/progress.h"
#include "bilens/model/family.h"
#include "bilens/tensor/shape.h"
#include "inspection_result.h"
#include "models/model_arguments.h"

namespace bilens {

namespace fs = std::filesystem;

const RecordTable<InspectedTensor>& InspectedTensor::record() {
  using R = InspectedTensor;
  static const auto table = RecordTable<R>()
                                .field("name", &R::name, "Name of the tensor.")
                                .field("dtype", &R::dtype, "Type of its numbers, as they are stored.")
                                .field("shape", &R::shape, "Its sizes.")
                                .field("parameters", &R::parameters, "How many numbers it has.");
  return table;
}

const RecordTable<InspectionResult>& InspectionResult::record() {
  using R = InspectionResult;
  static const auto table = RecordTable<R>()
                                .field("model", &R::model, "Path of the model.")
                                .field("config", &R::config, "Its config.json; null where there is none.")
                                .field("tensors", &R::tensors, "Its tensors.")
                                .field("parameters", &R::parameters, "How many numbers these are.")
                                .field("bytes", &R::bytes, "How many bytes they take.", "bytes");
  return table;
}

std::string inspection_in_words(const InspectionResult& result) {
  size_t widest = 0;
  for (const auto& tensor : result.tensors) widest = std::max(widest, tensor.name.size());
  std::string text;
  if (result.config && result.config->is_object()) text = format_json(*result.config);
  for (const auto& tensor : result.tensors) {
    text += tensor.name + std::string(widest + 2 - tensor.name.size(), ' ') + tensor.dtype + "  " +
            describe_shape(tensor.shape) + "\n";
  }
  return text + format_number(static_cast<double>(result.parameters)) + " parameters, " +
         format_bytes(static_cast<double>(result.bytes)) + "\n";
}

Outcome run_inspection(const fs::path& argument) {
  const fs::path path = find_model(argument.string());
  const StoredModel model(path);
  const Weights weights = is_foreign_folder(path) ? model.weights() : Weights(path);
  InspectionResult result;
  result.model = path.string();
  for (const auto& [name, info] : weights.tensors()) {
    result.tensors.push_back({name, info.stored_as(), info.shape, info.elements()});
    result.parameters += info.elements();
    result.bytes += static_cast<int64_t>(info.end - info.begin);
  }
  if (model.is_directory() && !model.json("config.json").is_null()) result.config = model.json("config.json");
  Outcome outcome;
  outcome.results.push_back(result.record().write(result));
  outcome.text = inspection_in_words(result);
  return outcome;
}

}  // namespace bilens
