#include "check_data.h"

#include <algorithm>
#include <cmath>

#include "bilens/records/model_check.h"

namespace bilens::report {

namespace fs = std::filesystem;

namespace {

/// The largest error of the residual stream in one dtype, and that of the mean loss.
Json dtype_data(const CheckedDtype& checked) {
  double error = 0, tolerance = 0;
  for (const auto& quantity : checked.quantities) {
    if (quantity.name == "logits" || quantity.name == "loss") continue;
    error = std::max(error, quantity.error);
    tolerance = std::max(tolerance, quantity.tolerance);
  }
  return {{"dtype", checked.dtype},
          {"error", error},
          {"tolerance", tolerance},
          {"loss", std::abs(checked.loss - checked.reference_loss)}};
}

Json summary_of(const ModelCheck& check) {
  Json dtypes = Json::array();
  for (const auto& checked : check.dtypes) dtypes.push_back(dtype_data(checked));
  return {{"transformers", check.transformers},
          {"passed", check.passed},
          {"failures", check.failures},
          {"dtypes", dtypes},
          {"same_text", check.tokenizer ? Json(check.tokenizer->within) : Json()}};
}

}  // namespace

Json check_data(const Source& source) {
  std::string weights;
  for (const auto& folder : {source.decomposition, source.model, source.run}) {
    const fs::path file = folder / ModelCheck::kFile;
    if (folder.empty() || !fs::exists(file)) continue;
    const auto check = read_record_file<ModelCheck>(file);
    if (weights.empty()) weights = weights_of(source);
    if (check.model_sha256 == weights) return summary_of(check);
  }
  return nullptr;
}

}  // namespace bilens::report
