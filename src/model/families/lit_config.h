#pragma once

#include "bilens/model/decoder_config.h"

namespace bilens {

/// The config beside LitGPT's weights: model_config.yaml, or lit_config.json of its first versions.
/// @param where its path, for messages
Json read_lit_config(const StoredModel& model, std::string& where);

/// The decoder of such a config by the keys of Hugging Face: a Llama, a Mistral (windows), a Qwen 2 (biases
/// of queries, keys and values alone) or a Qwen 3 (norms of heads).
/// @param vocabulary rows of the embedding @param beside config.json and generation_config.json of a model
/// that LitGPT converted, which name the tokens that begin and end a text; null where there is none
/// @throws Error(kBadInput) with every problem at once, also for keys that are not known, and for what would
/// compute something else
/// Source: https://github.com/Lightning-AI/litgpt (litgpt/config.py, litgpt/model.py)
DecoderConfig config_of_lit(const Json& json, const std::string& where, int64_t vocabulary,
                            const Json& beside);

}  // namespace bilens
