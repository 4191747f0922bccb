#include "families.h"

namespace bilens::family {

const Family& qwen() {
  static const Family family = {.name = "Qwen", .types = {"qwen2", "qwen3"}, .norms = post_attention_rms()};
  return family;
}

}  // namespace bilens::family
