#pragma once

#include "call.h"

namespace bilens::python {

/// Models, decompositions and their layers.
void bind_decomposition(py::module_& module);

}  // namespace bilens::python
