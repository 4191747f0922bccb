#pragma once

#include "call.h"

namespace bilens::python {

/// The jobs of the command line: each takes what its flags say and gives what --json prints.
void bind_commands(py::module_& module);

}  // namespace bilens::python
