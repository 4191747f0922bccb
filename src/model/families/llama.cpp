#include "families.h"

namespace bilens {

const std::string& native_decoder_type() {
  static const std::string type = "llama";
  return type;
}

namespace family {

MlpNorms post_attention_rms() {
  return {MlpNorms::Kind::kRms, "post_attention_layernorm", false, false, "", ""};
}

const Family& llama() {
  static const Family family = {.name = "Llama",
                                .types = {native_decoder_type()},
                                .architecture = "LlamaForCausalLM",
                                .norms = post_attention_rms(),
                                .is_computed = true};
  return family;
}

}  // namespace family

}  // namespace bilens
