#include "rank_group.h"

#include <ATen/ATen.h>

#include <bit>

#include "bilens/core/error.h"
#include "gloo_group.h"

namespace bilens {

namespace {

/// A row between two bounds.
at::Tensor part(const at::Tensor& row, int64_t begin, int64_t end) {
  return row.narrow(0, begin, end - begin);
}

}  // namespace

template <class Work>
auto RankGroup::guarded(std::optional<int64_t> peer, const Work& work) -> decltype(work()) {
  try {
    return work();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    store_.fail(peer, error.what());
  }
}

RankGroup::RankGroup(const Launch& launch, std::chrono::seconds timeout)
    : rank_(launch.rank),
      ranks_(launch.ranks),
      store_(launch, timeout),
      tags_(static_cast<size_t>(launch.ranks)) {
  try {
    backend_ = guarded({}, [&] { return gloo_group(store_.store(), launch, timeout); });
  } catch (...) {
    store_.leave();
    throw;
  }
}

RankGroup::~RankGroup() {
  if (store_.failed()) backend_.reset();  // who waits for an exchange then asks for the reason
  store_.leave();
}

bool RankGroup::halves() const { return std::has_single_bit(static_cast<uint64_t>(ranks_)); }

int64_t RankGroup::place(int64_t rank) const {
  if (!halves()) return rank;
  int64_t place = 0;
  for (int64_t bit = 1; bit < ranks_; bit *= 2) place = 2 * place + ((rank & bit) != 0 ? 1 : 0);
  return place;
}

std::vector<std::pair<int64_t, int64_t>> RankGroup::halvings() const {
  std::vector<std::pair<int64_t, int64_t>> held{{0, ranks_}};
  for (int64_t distance = 1; distance < ranks_; distance *= 2) {
    const auto [begin, end] = held.back();
    const int64_t middle = (begin + end) / 2;
    held.push_back((rank_ & distance) == 0 ? std::pair{begin, middle} : std::pair{middle, end});
  }
  return held;
}

void RankGroup::sum_parts(const at::Tensor& row, const std::vector<int64_t>& bounds) {
  store_.arrive();
  if (!halves()) {
    std::vector<at::Tensor> one{row};
    return guarded({}, [&] { backend_->allreduce(one)->wait(); });
  }
  const auto held = halvings();
  for (size_t i = 1; i < held.size(); ++i) {
    const auto [first, last] = held[i - 1];
    const auto [begin, end] = held[i];
    const auto given =
        begin == first ? part(row, bounds[end], bounds[last]) : part(row, bounds[first], bounds[begin]);
    const auto kept = part(row, bounds[begin], bounds[end]);
    const auto theirs = at::empty_like(kept);
    exchange(rank_ ^ (int64_t{1} << (i - 1)), given, theirs);
    kept.add_(theirs);
  }
}

void RankGroup::share_parts(const at::Tensor& row, const std::vector<int64_t>& bounds) {
  if (!halves()) {
    for (int64_t rank = 0; rank < ranks_; ++rank) copy_from(rank, part(row, bounds[rank], bounds[rank + 1]));
    return;
  }
  store_.arrive();
  const auto held = halvings();
  for (size_t i = held.size() - 1; i > 0; --i) {
    const auto [first, last] = held[i - 1];
    const auto [begin, end] = held[i];
    const auto other =
        begin == first ? part(row, bounds[end], bounds[last]) : part(row, bounds[first], bounds[begin]);
    exchange(rank_ ^ (int64_t{1} << (i - 1)), part(row, bounds[begin], bounds[end]), other);
  }
}

void RankGroup::sum(const at::Tensor& row) {
  std::vector<int64_t> bounds;
  for (int64_t i = 0; i <= ranks_; ++i) bounds.push_back(row.numel() * i / ranks_);
  sum_parts(row, bounds);
  if (halves()) share_parts(row, bounds);
}

void RankGroup::copy_from(int64_t rank, const at::Tensor& row) {
  store_.arrive();
  if (row.numel() == 0) return;
  std::vector<at::Tensor> one{row};
  c10d::BroadcastOptions options;
  options.rootRank = rank;
  guarded(rank == rank_ ? std::nullopt : std::optional(rank),
          [&] { backend_->broadcast(one, options)->wait(); });
}

std::string RankGroup::wait_for_text(const std::string& key) {
  std::optional<std::string> found;
  store_.wait_until([&] { return (found = store_.find(key)).has_value(); }, 0);
  return *found;
}

void RankGroup::copy(int64_t from, int64_t to, const at::Tensor& row) {
  const auto none = row.narrow(0, 0, 0);
  rank_ == from ? exchange(to, row, none) : exchange(from, none, row);
}

/// Gives numbers to a peer, and takes others of it.
void RankGroup::exchange(int64_t peer, const at::Tensor& given, const at::Tensor& taken) {
  int& next = tags_[peer];
  const int tag = next;
  next = (next + 1) & 0xffffff;
  guarded(peer, [&] {
    std::vector<at::Tensor> out{given}, in{taken};
    c10::intrusive_ptr<c10d::Work> sending, receiving;
    if (given.numel() > 0) sending = backend_->send(out, static_cast<int>(peer), tag);
    if (taken.numel() > 0) receiving = backend_->recv(in, static_cast<int>(peer), tag);
    if (sending) sending->wait();
    if (receiving) receiving->wait();
  });
}

}  // namespace bilens
