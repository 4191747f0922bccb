#pragma once

#include "call.h"

namespace bilens::python {

/// One bilinear layer's interaction matrices.
void bind_forms(py::module_& module);

}  // namespace bilens::python
