#pragma once

#include "call.h"

namespace bilens::python {

/// Logit differences behind prompts as sums.
void bind_explanations(py::module_& module);

}  // namespace bilens::python
