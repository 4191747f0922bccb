#include "gate_choice.h"

#include "bilens/core/invocation.h"

namespace bilens {

namespace {

constexpr const char* kAuto = "auto";

std::string in_quotes(const std::string& text) { return "\"" + text + "\""; }

GateChoice choice_of(const std::string& name, const std::string& source) {
  return {{name, source}, gate_of_word(name)};
}

}  // namespace

std::optional<GateWord> parse_gate(const std::string& word) {
  if (word == kAuto) return std::nullopt;
  if (const auto gate = gate_of_word(word)) return gate;
  std::vector<std::string> words;
  for (const auto& named : gate_words()) words.push_back(named.first);
  throw Error(ExitCode::kUsage, {"--gate", join(words), in_quotes(word), ""});
}

GateChoice choose_gate(const Architecture& architecture, const Family* by_names,
                       std::optional<GateWord> asked, const std::string& path) {
  if (!architecture.gate.empty()) {
    const auto said = choice_of(architecture.gate, architecture.gate_source);
    if (asked && asked != said.gate) {
      throw Error(ExitCode::kUsage,
                  {"gate", in_quotes(said.name) + ", by " + said.source, in_quotes(word_of_gate(*asked)),
                   "Leave it out: " + path + " says itself what its gate is."});
    }
    return said;
  }
  if (asked) return choice_of(word_of_gate(*asked), "--gate");
  if (by_names != nullptr && !by_names->gate_by_names.empty()) {
    return choice_of(by_names->gate_by_names, "the names of its tensors, which are those of SwiGLU layers");
  }
  throw Error(ExitCode::kBadInput,
              {path, "a config.json or another word on what the gate is", "none",
               "Where the layers are bilinear, type\n  " + invocation_with("--gate none") +
                   "\nand where they are gated, --gate silu, gelu, gelu_tanh or relu."});
}

}  // namespace bilens
