#include "owned_rows.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace bilens {

OwnedRows::OwnedRows(const std::vector<at::Tensor>& tensors, const std::vector<int64_t>& places,
                     int64_t count)
    : rows_(static_cast<size_t>(count)) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    auto& row = rows_[places[i]];
    const int64_t begin = row.empty() ? 0 : row.back().end;
    row.push_back({tensors[i], tensors[i].contiguous().view({-1}), begin, begin + tensors[i].numel()});
    longest_ = std::max(longest_, row.back().end);
  }
}

template <class Use>
void OwnedRows::each_within(int64_t place, int64_t begin, int64_t end, const Use& use) const {
  for (const Piece& piece : rows_[place]) {
    const int64_t first = std::max(begin, piece.begin), last = std::min(end, piece.end);
    if (first < last) use(piece, first - piece.begin, last - piece.begin);
  }
}

OwnedRows::Part OwnedRows::part(int64_t begin, int64_t end) const {
  Part part;
  part.bounds = {0};
  std::vector<at::Tensor> numbers;
  for (size_t place = 0; place < rows_.size(); ++place) {
    int64_t bound = part.bounds.back();
    each_within(static_cast<int64_t>(place), begin, end,
                [&](const Piece& piece, int64_t first, int64_t last) {
                  numbers.push_back(piece.numbers.narrow(0, first, last - first).to(at::kCPU, at::kFloat));
                  bound += last - first;
                });
    part.bounds.push_back(bound);
  }
  part.row = at::cat(numbers);
  return part;
}

void OwnedRows::put(const Part& part, int64_t begin, int64_t place) const {
  int64_t from = part.bounds[place];
  const int64_t end = begin + part.bounds[place + 1] - from;
  each_within(place, begin, end, [&](const Piece& piece, int64_t first, int64_t last) {
    piece.numbers.narrow(0, first, last - first).copy_(part.row.narrow(0, from, last - first));
    from += last - first;
    const bool whole = last == piece.end - piece.begin;
    if (whole && !piece.tensor.is_alias_of(piece.numbers))
      piece.tensor.copy_(piece.numbers.view(piece.tensor.sizes()));
  });
}

}  // namespace bilens
