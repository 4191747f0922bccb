#include "gate_choice.h"

#include "bilens/core/invocation.h"

namespace bilens {

namespace {

constexpr const char* kAuto = "auto";

std::string quoted(const std::string& text) { return "\"" + text + "\""; }

}  // namespace

GateChoice choose_gate(const Architecture& architecture, const Family* by_names, const std::string& asked,
                       const std::string& path) {
  if (!architecture.gate.empty()) {
    if (asked != kAuto && asked != architecture.gate) {
      throw Error(ExitCode::kUsage,
                  {"gate", quoted(architecture.gate) + ", by " + architecture.gate_source, quoted(asked),
                   "Leave it out: " + path + " says itself what its gate is."});
    }
    return {{architecture.gate, architecture.gate_source}};
  }
  if (asked != kAuto) return {{asked, "--gate"}};
  if (by_names != nullptr && !by_names->gate_by_names.empty())
    return {{by_names->gate_by_names, "the names of its tensors, which are those of SwiGLU layers"}};
  throw Error(ExitCode::kBadInput,
              {path, "a config.json or another word on what the gate is", "none",
               "Where the layers are bilinear, type\n  " + invocation_with("--gate none") +
                   "\nand where they are gated, --gate silu, gelu, gelu_tanh or relu."});
}

}  // namespace bilens
