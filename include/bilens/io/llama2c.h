#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "bilens/io/weight_file.h"

namespace bilens {

/// What the header of a llama2.c file says of its model; the norms' epsilon is 1e-5 and the base of the
/// rotary angles 10000 in every such file.
struct Llama2cHeader {
  int64_t version = 0;  // 0: the first form, without a magic number; 1: "ak42"; 2: quantised
  int64_t dim = 0, hidden_dim = 0, n_layers = 0, n_heads = 0, n_kv_heads = 0;
  int64_t vocab_size = 0;
  int64_t seq_len = 0;
  bool shared_classifier = false;  // the head is the embedding
  int64_t group_size = 0;          // of version 2: how many numbers share a scale

  int64_t head_dim() const { return dim / n_heads; }
};

/// A llama2.c model, float32, under the names and in the layout of Hugging Face's Llama: llama2.c turns the
/// neighbouring rows 2i and 2i+1 of a head of q_proj and k_proj by one angle, Hugging Face the rows i and
/// i + head_dim/2, so their rows are permuted, and they are copies; all other tensors are views of the file.
/// Matrices of version 2 are codes of 8 bits with a scale for each group: a tensor is their products in
/// float32, computed when it is read. Without lm_head.weight where the header shares it.
/// Source: https://github.com/karpathy/llama2.c (export.py, legacy_export, version1_export, version2_export)
class Llama2cFile : public WeightFile {
 public:
  /// @throws Error(kBadInput): a size that is not positive, sizes that do not fit together, a file of another
  /// length than the header asks for, a version that is not known, scales that are none.
  explicit Llama2cFile(const std::filesystem::path& path);
  Llama2cFile(const std::filesystem::path& path, const MappedFile& file);

  const Llama2cHeader& header() const { return header_; }

 private:
  at::Tensor load(const std::string& name, const TensorInfo& info) const override;

  Llama2cHeader header_;
  std::shared_ptr<const char> data_;
};

/// Whether a file that starts so is one of version 1 or newer; version 0 has no mark.
bool is_llama2c(const std::string& start);

/// [heads * head_dim, d]: the rows of each head from llama2.c's order (pairs side by side) to Hugging Face's
/// (halves). A copy.
at::Tensor rotary_rows_to_halves(const at::Tensor& rows, int64_t heads);

}  // namespace bilens
