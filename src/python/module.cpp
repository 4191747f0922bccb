// bilens._bilens: what the Python package is a face of. Everything here is private to it; its names and
// shapes are those of the library's headers.

#include "bilens/core/version.h"
#include "call.h"
#include "commands.h"
#include "conversion.h"
#include "decomposition.h"
#include "explanations.h"
#include "forms.h"
#include "token_cards.h"

PYBIND11_MODULE(_bilens, module) {
  using namespace bilens::python;
  register_errors();
  module.attr("version") = bilens::version();
  bind_forms(module);
  bind_decomposition(module);
  bind_token_cards(module);
  bind_explanations(module);
  bind_commands(module);
  bind_conversion(module);
}
