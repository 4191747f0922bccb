#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bilens/dist/launch.h"

namespace bilens {

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

  /// Puts into each tensor the sum over all processes, in float32, the same bits in each. Of 2, 4, 8 ...
  /// processes it is a binary tree over the ranks.
  /// @param tensors floating point, of the same shapes everywhere
  void sum(const std::vector<at::Tensor>& tensors) const;

  /// Puts into each tensor what the first process has there.
  void copy_from_first(const std::vector<at::Tensor>& tensors) const;

  /// The text that the first process gives.
  std::string text_from_first(const std::string& text) const;

  /// Work of the first process that the others wait for, however long it takes.
  void on_first(const std::function<void()>& work) const;

  /// @throws Error(kUsage) in each process whose text is not the first's. @param what "the config", for words
  /// @param fix what to do then
  void require_same(const std::string& what, const std::string& text, const std::string& fix) const;

  /// Tells the others why this process ends, so that they say so.
  void tell_failure(const std::string& message) const;
  /// Tells the others that this process was stopped, so that they stop too.
  void tell_stop() const;

 private:
  class Group;
  int64_t rank_ = 0, count_ = 1;
  std::unique_ptr<Group> group_;
};

}  // namespace bilens
