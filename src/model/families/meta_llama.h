#pragma once

#include <filesystem>
#include <vector>

#include "bilens/model/decoder_config.h"
#include "bilens/model/stored_model.h"

namespace bilens {

/// A Llama under Meta's own names (tok_embeddings, layers.N.attention.wq, layers.N.feed_forward.w1, ...), not
/// yet read: Meta's consolidated.00.pth with params.json, several of them that each hold a part of every
/// matrix, or a checkpoint of llama2.c's training script, which has its sizes in "model_args".
struct MetaFiles {
  std::vector<Weights> parts;  // in order; at least one
  Json args;
  std::string where;  // that the args were found, for messages
};

/// A folder with params.json and consolidated.*, and without weights in Hugging Face's layout.
bool is_meta_folder(const std::filesystem::path& path);

/// Whether the names are Meta's.
bool has_meta_names(const Weights& weights);

/// @param model such a folder, one of its files (the others are found beside it), or a checkpoint
/// @throws Error(kBadInput): a part or the sizes are missing
MetaFiles open_meta_files(const StoredModel& model);

/// The decoder under Hugging Face's names, as stored; a model in parts is put together. Meta turns the
/// neighbouring rows 2i and 2i+1 of a head of wq and wk by one angle, Hugging Face the rows i and
/// i + head_dim/2, so these are permuted. A head that equals the embedding is tied to it.
struct MetaLlama {
  DecoderConfig config;
  NamedTensors parameters;  // in the order of config.parameter_shapes()
};

/// @throws Error(kBadInput) that names a tensor: missing, of another shape, not finite, or one that a Llama
/// has no place for; rotary angles of another base
MetaLlama read_meta_llama(const MetaFiles& files);

}  // namespace bilens
