#include "families.h"

namespace bilens::family {

const Family& phi3() {
  static const Family family = {.name = "Phi-3",
                                .types = {"phi3"},
                                .norms = post_attention_rms(),
                                .forms = {{"gate_up_proj.weight", "", "down_proj.weight", ""}}};
  return family;
}

}  // namespace bilens::family
