#pragma once

#include <filesystem>

#include "bilens/records/record_file.h"
#include "bilens/records/tensor_table.h"

namespace bilens {

/// What a model computes in one dtype.
struct ReferencePass {
  at::Tensor states, logits, losses;

  static const TensorTable<ReferencePass>& tensors();

  /// What is not finite, and where: "states, 3 of them, first at [1, 0, 5, 2] of [...]"; "" where nothing is.
  std::string not_finite() const;
};

/// A file of scripts/make_reference.py: what transformers computes with a model, and how it tokenizes a text.
struct ModelReference {
  static constexpr RecordFormat kFormat = {"bilens-reference", 1};

  std::string model, model_sha256, dtype, transformers, torch, model_class;
  std::optional<std::string> tokenizer_class, tokenizer_problem;

  at::Tensor tokens;
  at::Tensor text, text_ids, file_ids;
  ReferencePass float32;
  std::optional<ReferencePass> stored;  // in the checkpoint's dtype, where that is bfloat16 or float16

  static const RecordTable<ModelReference>& record();
  static const TensorTable<ModelReference>& tensors();
};

/// The sizes that the model says it has.
struct ReferenceSizes {
  int64_t layers = 0, width = 0, vocabulary = 0;
};

/// @param sha256 of the model's weights, as Weights::sha256
/// @throws Error(kBadInput): missing, damaged, of another model or of other sizes, or not finite in float32
ModelReference read_model_reference(const std::filesystem::path& file, const std::string& sha256,
                                    const ReferenceSizes& sizes);

}  // namespace bilens
