#include "families.h"

namespace bilens::family {

namespace {

/// Attention and MLP then read the same normed stream.
void share_the_norm(const Json& config, MlpNorms& norms) {
  if (config.value("use_parallel_residual", Json()) == true) norms.before = "input_layernorm";
}

}  // namespace

const Family& stablelm() {
  static const Family family = {
      .name = "StableLM",
      .types = {"stablelm"},
      .norms = MlpNorms{MlpNorms::Kind::kLayer, "post_attention_layernorm", false, false, "", ""},
      .refine_norms = share_the_norm};
  return family;
}

}  // namespace bilens::family
