#pragma once

#include <string>
#include <utility>
#include <vector>

namespace bilens {

/// The nonlinearity f on the gate's side of y = f(g) ⊙ u. kNone makes the layer bilinear.
enum class Gate { kNone, kSilu, kGelu, kRelu };

/// Config names of the gates.
const std::vector<std::pair<std::string, Gate>>& gate_names();

}  // namespace bilens
