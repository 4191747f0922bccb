#include "families.h"

namespace bilens::family {

const Family& lit_gpt() {
  static const Family family = {
      .name = "lit-gpt",
      .norms = MlpNorms{MlpNorms::Kind::kRms, "norm_2", false, false, "", ""},
      .forms = {{"mlp.swiglu.w1.weight", "mlp.swiglu.w2.weight", "mlp.swiglu.w3.weight", "mlp."}},
      .told_by_names = true,
      .gate_by_names = "silu",
      .way_on = [](const StoredModel& model) -> std::string {
        if (!model.weights().contains("transformer.h.0.mlp.fc_1.weight")) return "";
        return "`litgpt convert_from_litgpt` writes this checkpoint of lit-gpt under Hugging Face's names.";
      }};
  return family;
}

}  // namespace bilens::family
