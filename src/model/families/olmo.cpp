#include "families.h"

namespace bilens::family {

const Family& olmo() {
  static const Family family = {
      .name = "OLMo 2",
      .types = {"olmo2", "olmo3"},
      .norms = MlpNorms{MlpNorms::Kind::kNone, "", false, false, "post_feedforward_layernorm", ""}};
  return family;
}

}  // namespace bilens::family
