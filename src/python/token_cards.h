#pragma once

#include "call.h"

namespace bilens::python {

/// The tokens nearest to eigenvectors.
void bind_token_cards(py::module_& module);

}  // namespace bilens::python
