#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bilens/dist/launch.h"

namespace bilens {

class RankGroup;

/// The processes that do one job together, each with a rank from 0. All of them make the same calls in the
/// same order. One that dies, hangs or fails ends the others in their next call, which throws Error(kFailure)
/// with words that say which it was, or Stopped where that one was.
class Ranks {
 public:
  /// One process alone: nothing is exchanged.
  Ranks();
  static const Ranks& one();
  /// Waits for all processes of the launch, and for none longer than `timeout`, in each call.
  /// @throws Error(kUsage) for a port in use; Error(kFailure) where a process does not come, and in a build
  /// without Gloo
  Ranks(const Launch& launch, std::chrono::seconds timeout);
  /// Waits until the others are done, but not long.
  ~Ranks();
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  int64_t rank() const { return rank_; }
  int64_t count() const { return count_; }
  bool alone() const { return count_ == 1; }
  bool first() const { return rank_ == 0; }

  /// Puts into a tensor the sum over all processes, the same bits in each. Of 2, 4, 8 ... processes it is a
  /// binary tree over the ranks.
  /// @param tensor floating point, of the same shape everywhere; summed in float32, a float64 one in float64
  void sum(const at::Tensor& tensor) const;

  /// Puts into each tensor its sum, in float32, in the process that owns it; elsewhere the tensor is left as
  /// it was. Each process sends about half the bytes of sum() for all.
  /// @param tensors as in sum(), in the same order @param owners the rank of each one's owner
  void sum_to_owners(const std::vector<at::Tensor>& tensors, const std::vector<int64_t>& owners) const;
  /// Puts into each tensor what its owner has there, as float32.
  void copy_from_owners(const std::vector<at::Tensor>& tensors, const std::vector<int64_t>& owners) const;

  /// Puts into each tensor, of any dtype, what the process of this rank has there.
  void copy_from(int64_t rank, const std::vector<at::Tensor>& tensors) const;
  /// Puts into the tensors of one process what another has there. Of the others nothing is used.
  void copy(int64_t from, int64_t to, const std::vector<at::Tensor>& tensors) const;

  /// Whether this process or another was asked to stop, for work that all do between two exchanges. It asks
  /// the store, which takes a fraction of a millisecond. @throws Error where another has failed
  bool stops() const;

  /// The text that the first process gives.
  std::string text_from_first(const std::string& text) const;

  /// Work of the first process that the others wait for, however long it takes.
  void on_first(const std::function<void()>& work) const;

  /// @throws Error(kUsage) in each process whose text is not the first's. @param what "the config", for words
  /// @param fix what to do then
  void require_same(const std::string& what, const std::string& text, const std::string& fix) const;

  /// Does this process's part of the job. Where it throws, the others first hear why, and say so: that this
  /// one failed, or was stopped.
  void take_part(const std::function<void()>& part) const;

 private:
  int64_t rank_ = 0, count_ = 1;
  std::unique_ptr<RankGroup> group_;
};

}  // namespace bilens
