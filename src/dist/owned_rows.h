#pragma once

#include <ATen/core/Tensor.h>

#include <utility>
#include <vector>

namespace bilens {

/// Tensors of which each belongs to a process, as one row of numbers a process: what is exchanged part by
/// part.
class OwnedRows {
 public:
  /// @param tensors floating point, on any device @param places the row of each tensor, of `count`
  OwnedRows(const std::vector<at::Tensor>& tensors, const std::vector<int64_t>& places, int64_t count);

  /// Numbers of the longest row.
  int64_t longest() const { return longest_; }

  struct Part {
    at::Tensor row;               // float32, on the CPU
    std::vector<int64_t> bounds;  // count + 1: where each process's numbers lie in it
  };
  /// The numbers from `begin` to `end` of each row, one behind the other.
  Part part(int64_t begin, int64_t end) const;
  /// Puts back those of one place. @param begin as of the part
  void put(const Part& part, int64_t begin, int64_t place) const;

 private:
  struct Piece {
    at::Tensor tensor, numbers;  // the latter flat: a view, or a copy of what does not lie in one piece
    int64_t begin, end;          // in its row
  };
  /// Calls use(piece, first, last) for each piece of a row that has numbers in the part.
  template <class Use>
  void each_within(int64_t place, int64_t begin, int64_t end, const Use& use) const;

  std::vector<std::vector<Piece>> rows_;
  int64_t longest_ = 0;
};

}  // namespace bilens
