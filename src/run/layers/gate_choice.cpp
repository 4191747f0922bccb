#include "gate_choice.h"

#include "bilens/core/invocation.h"

namespace bilens {

namespace {

std::string in_quotes(const std::string& text) { return "\"" + text + "\""; }

GateChoice choice_of(const std::string& name, const std::string& source) {
  return {{name, source}, gate_named(name)};
}

}  // namespace

GateChoice choose_gate(const Architecture& architecture, const Family* by_names, std::optional<Gate> asked,
                       const std::string& path) {
  if (!architecture.gate.empty()) {
    const auto said = choice_of(architecture.gate, architecture.gate_source);
    if (asked && asked != said.gate) {
      throw Error(ExitCode::kUsage,
                  {"gate", in_quotes(said.name) + ", by " + said.source, in_quotes(gate_name(*asked)),
                   "Leave it out: " + path + " says itself what its gate is."});
    }
    return said;
  }
  if (asked) return choice_of(gate_name(*asked), "--gate");
  if (by_names != nullptr && !by_names->gate_by_names.empty()) {
    return choice_of(by_names->gate_by_names, "the names of its tensors, which are those of SwiGLU layers");
  }
  throw Error(ExitCode::kBadInput,
              {path, "a config.json or another word on what the gate is", "none",
               "Where the layers are bilinear, type\n  " + invocation_with("--gate none") +
                   "\nand where they are gated, --gate silu, gelu, gelu_tanh or relu."});
}

}  // namespace bilens
