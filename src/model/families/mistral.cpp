#include "families.h"

namespace bilens::family {

const Family& mistral() {
  static const Family family = {.name = "Mistral", .types = {"mistral"}, .norms = post_attention_rms()};
  return family;
}

}  // namespace bilens::family
