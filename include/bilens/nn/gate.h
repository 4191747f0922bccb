#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bilens {

/// The nonlinearity f on the gate's side of y = f(g) ⊙ u. kNone makes the layer bilinear; GELU is computed by
/// the error function, or by its approximation with tanh.
enum class Gate { kNone, kSilu, kGelu, kGeluTanh, kRelu };

/// A gate with its parameter: SiLU_β is f(z) = zσ(βz), the usual SiLU at β = 1 and half the identity at
/// β = 0. The others have no parameter.
struct Activation {
  Activation(Gate gate, double b = 1.0) : kind(gate), beta(b) {}

  Gate kind;
  double beta;
};

/// Their words in configs and for `--gate`: "none", "silu", "gelu", "gelu_tanh", "relu".
const std::vector<std::pair<std::string, Gate>>& gate_names();
const std::string& gate_name(Gate gate);
/// The gate of a word; nothing where it is none of gate_names().
std::optional<Gate> gate_named(const std::string& word);

}  // namespace bilens
