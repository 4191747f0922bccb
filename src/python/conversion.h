#pragma once

#include "call.h"

namespace bilens::python {

/// A gated model in memory that becomes a bilinear one, and what it computes.
void bind_conversion(py::module_& module);

}  // namespace bilens::python
