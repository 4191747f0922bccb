#include "families.h"

namespace bilens::family {

const Family& gpt2() {
  static const Family family = {.name = "GPT-2", .way_on = [](const StoredModel& model) -> std::string {
                                  if (!model.weights().contains("transformer.h.0.attn.c_attn.weight"))
                                    return "";
                                  return "This is a GPT-2: only language models of the Llama type are read.";
                                }};
  return family;
}

}  // namespace bilens::family
