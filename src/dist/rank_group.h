#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bilens/dist/launch.h"
#include "rank_store.h"

namespace bilens {

/// The processes of a launch, connected: what they exchange are rows of numbers on the CPU.
class RankGroup {
 public:
  RankGroup(const Launch& launch, std::chrono::seconds timeout);
  ~RankGroup();
  RankGroup(const RankGroup&) = delete;
  RankGroup& operator=(const RankGroup&) = delete;

  RankStore& store() { return store_; }

  /// Which part of a row is a rank's, where each process has one. Halves are exchanged with the nearest rank
  /// first, so of 2, 4, 8 ... processes it is the rank with its bits in the other order.
  int64_t place(int64_t rank) const;

  /// Puts the sum over all processes into this one's part; the other parts then hold nothing of use. Of 2, 4,
  /// 8 ... processes the sum is a binary tree over the ranks.
  /// @param bounds of the parts, count + 1 numbers that grow from 0 to that of the row
  void sum_parts(const at::Tensor& row, const std::vector<int64_t>& bounds);
  /// Gives this process's part to all.
  void share_parts(const at::Tensor& row, const std::vector<int64_t>& bounds);
  /// Replaces the row by the sum over all processes, in each of them.
  void sum(const at::Tensor& row);
  /// Copies the row of one rank into those of all.
  void copy_from(int64_t rank, const at::Tensor& row);
  /// Copies the row of one rank into that of another; these two call it.
  void copy(int64_t from, int64_t to, const at::Tensor& row);

  /// Waits for what the first process sets, however long it takes.
  std::string wait_for_text(const std::string& key);

  /// The key of a call that all make: its name and its number.
  std::string key(const char* what) { return what + ("/" + std::to_string(++calls_)); }

 private:
  bool halves() const;
  /// The parts that this process and its peers hold, from all to one: first and last bound.
  std::vector<std::pair<int64_t, int64_t>> halvings() const;
  void exchange(int64_t peer, const at::Tensor& given, const at::Tensor& taken);
  template <class Work>
  auto guarded(std::optional<int64_t> peer, const Work& work) -> decltype(work());

  const int64_t rank_, ranks_;
  RankStore store_;
  c10::intrusive_ptr<c10d::Backend> backend_;
  int64_t calls_ = 0;
  std::vector<int> tags_;  // the next one of what is exchanged with each peer
};

}  // namespace bilens
