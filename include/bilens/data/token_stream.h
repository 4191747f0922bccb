#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace bilens {

/// Token ids in a row, and where the documents in them begin.
struct TokenStream {
  at::Tensor ids;               // uint16 [n] for vocabularies up to 65,536, else int32 [n]; on the CPU
  std::vector<int64_t> starts;  // first token (BOS) of each document, ascending, the first is 0

  int64_t size() const { return ids.defined() ? ids.size(0) : 0; }
};

/// The first tokens, and the documents that begin in them; shares the ids.
TokenStream first_tokens(const TokenStream& stream, int64_t count);

/// What ids below `vocabulary` are stored as: uint16 or int32.
at::ScalarType id_type(int64_t vocabulary);

/// Rows of tokens to predict the next one of.
struct TokenBatch {
  at::Tensor inputs;            // int64 [batch, length]
  at::Tensor targets;           // int64 [batch, length]: the token after each input
  at::Tensor document_starts;   // int64 [batch, length]: where in its row each input's document begins
  std::vector<int64_t> begins;  // where in the stream each row begins
};

/// Tokens begin ... begin + window − 1 for each of `begins`: all but the last as inputs, all but the first as
/// targets. A document that began before its row begins at 0 there: attention and positions start anew.
TokenBatch make_batch(const TokenStream& stream, const std::vector<int64_t>& begins, int64_t window);

}  // namespace bilens
