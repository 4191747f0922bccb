#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

#include "bilens/io/safetensors.h"

namespace bilens {

/// How the rows of a batch are cut, and which part of them one process computes.
struct BatchShards {
  int64_t rows = 0;     // of the whole batch
  int64_t count = 1;    // of shards: shard i is the rows from rows·i/count to rows·(i+1)/count
  int64_t first = 0;    // of the shards of this process
  int64_t last = 1;     // behind the last of them
  int64_t at_once = 0;  // in work at a time, each on a thread of its own; 0: one after the other, each on all

  int64_t begin(int64_t shard) const { return rows * shard / count; }
};

/// Cuts a batch on a CPU so that each thread computes a shard by itself, forward and backward: products of a
/// small model are too small to be shared. Shards and the tree of their sum depend on the batch and the model
/// alone. So any number of threads, and 1, 2, 4 ... processes up to the number of shards, give the same
/// gradients, bit for bit, as long as a process has no more threads than shards. Where copies of the
/// gradients would take more than 512 MB, and on a GPU, the rows of a process are computed one part after the
/// other instead.
/// @param bytes of the gradients @param tokens of each row @param rows_at_once that may be in work at a time
/// @param rank this process, of `ranks`
BatchShards cut_batch(at::Device device, int64_t bytes, int64_t rows, int64_t tokens, int64_t rows_at_once,
                      int64_t rank = 0, int64_t ranks = 1);

/// Copies of the gradients that add_gradients holds at a time, at most.
int64_t gradient_copies(const BatchShards& shards);

/// Adds the gradients of Σ loss(begin, end) over this process's shards to the parameters'. Shards are summed
/// as a binary tree, whatever thread computed which: the same result each time.
/// @param loss of rows [begin, end), a scalar; called on several threads
/// @return the sum, detached; 0 where there are no rows
at::Tensor add_gradients(const NamedTensors& parameters, const BatchShards& shards,
                         const std::function<at::Tensor(int64_t begin, int64_t end)>& loss);

}  // namespace bilens
