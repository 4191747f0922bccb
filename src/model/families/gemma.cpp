#include "families.h"

namespace bilens::family {

namespace {

constexpr const char* kTanh = "gelu_pytorch_tanh";

MlpNorms one_plus(const char* before, const char* behind) {
  return {MlpNorms::Kind::kRms, before, /*one_plus=*/true, /*optional=*/false, behind, ""};
}

}  // namespace

const Family& gemma() {
  static const Family family = {.name = "Gemma",
                                .types = {"gemma"},
                                .act = kTanh,
                                .gelu_is_tanh = true,
                                .norms = one_plus("post_attention_layernorm", "")};
  return family;
}

const Family& gemma2() {
  static const Family family = {.name = "Gemma 2 and 3",
                                .types = {"gemma2", "gemma3_text"},
                                .act_key = "hidden_activation",
                                .act = kTanh,
                                .gelu_is_tanh = true,
                                .norms = one_plus("pre_feedforward_layernorm", "post_feedforward_layernorm")};
  return family;
}

const Family& later_gemmas() {
  static const Family family = {.name = "later Gemmas, of which only the activation is known",
                                .types = {"gemma3n_text", "gemma4_text"},
                                .act_key = "hidden_activation",
                                .act = "",
                                .gelu_is_tanh = true};
  return family;
}

}  // namespace bilens::family
