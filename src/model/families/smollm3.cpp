#include "families.h"

namespace bilens::family {

const Family& smollm3() {
  static const Family family = {.name = "SmolLM3", .types = {"smollm3"}, .norms = post_attention_rms()};
  return family;
}

}  // namespace bilens::family
