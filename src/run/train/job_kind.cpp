#include "job_kind.h"

#include "bilens/model/image_classifier.h"

namespace bilens {

JobKind kind_of_config(const Json& config) {
  JobKind kind{config.contains("model"), config.contains("teacher"), ClassifierConfig{}.type};
  const Json model = config.value("model", Json());
  if (model.is_object()) kind.model_type = model.value("type", kind.model_type);
  return kind;
}

}  // namespace bilens
