#pragma once

#include "bilens/model/family.h"

/// The families, each in the file of its name.
namespace bilens::family {

const Family& llama();
const Family& mistral();
const Family& qwen2();
const Family& qwen3();
const Family& smollm3();
const Family& phi3();
const Family& gemma();
const Family& gemma2();
const Family& gemma3();
const Family& later_gemmas();
const Family& olmo2();
const Family& olmo3();
const Family& stablelm();

/// The language models of arXiv 2406.03947 and 2410.08417, and their image classifiers.
const Family& papers();
const Family& paper_classifier();

/// Llamas in Meta's own files, and the checkpoints of llama2.c's training script.
const Family& meta();
const Family& llama2c();

const Family& lit_gpt();
const Family& gpt2();

/// The norm in front of an MLP of most families: h / rms(h) ⊙ w.
MlpNorms post_attention_rms();

}  // namespace bilens::family
