#pragma once

#include "bilens/core/json.h"

namespace bilens {

/// What a training config says of its kind, before the table of that kind reads it.
struct JobKind {
  bool has_model = false;    // "model", a key of `bilens train`
  bool has_teacher = false;  // "teacher", a key of `bilens finetune`
  Json model_type;           // "model.type" as it is given; without it an image classifier's
};

/// @param config an object
JobKind kind_of_config(const Json& config);

}  // namespace bilens
