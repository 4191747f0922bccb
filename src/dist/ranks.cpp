#include "bilens/dist/ranks.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <csignal>

#include "bilens/core/error.h"
#include "bilens/core/stop.h"
#include "owned_rows.h"
#include "rank_group.h"

namespace bilens {

namespace {
constexpr int64_t kNumbersAtOnce = int64_t{16} << 20;  // that are sent together

/// Calls exchange(rows, part, begin) for all numbers of the owners, part by part.
template <class Exchange>
void by_parts(const RankGroup& group, int64_t ranks, const std::vector<at::Tensor>& tensors,
              const std::vector<int64_t>& owners, const Exchange& exchange) {
  const at::NoGradGuard no_grad;
  std::vector<int64_t> places;
  for (const int64_t owner : owners) places.push_back(group.place(owner));
  const OwnedRows rows(tensors, places, ranks);
  const int64_t step = std::max<int64_t>(1, kNumbersAtOnce / ranks);
  for (int64_t begin = 0; begin < rows.longest(); begin += step)
    exchange(rows, rows.part(begin, begin + step), begin);
}

/// Calls exchange(bytes) for the numbers of a tensor as they lie in memory, and puts them back.
template <class Exchange>
void by_row(const at::Tensor& tensor, const Exchange& exchange) {
  const at::NoGradGuard no_grad;
  auto row = tensor.detach().to(at::kCPU).contiguous().view({-1});
  if (row.is_alias_of(tensor)) row = row.clone();
  exchange(row.view(at::kByte));
  tensor.copy_(row.view(tensor.sizes()));
}

}  // namespace

Ranks::Ranks() = default;

const Ranks& Ranks::one() {
  static const Ranks alone;
  return alone;
}

Ranks::Ranks(const Launch& launch, std::chrono::seconds timeout) : rank_(launch.rank), count_(launch.ranks) {
  if (launch.alone()) return;
  std::signal(SIGPIPE, SIG_IGN);  // Gloo writes to processes that may be gone; the error says so
  group_ = std::make_unique<RankGroup>(launch, timeout);
}

Ranks::~Ranks() = default;

void Ranks::sum(const at::Tensor& tensor) const {
  if (alone()) return;
  const at::NoGradGuard no_grad;
  const auto type = tensor.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  auto row = tensor.detach().reshape({-1}).to(at::kCPU, type);
  if (row.is_alias_of(tensor)) row = row.clone();
  group_->sum(row);
  tensor.copy_(row.view(tensor.sizes()));
}

void Ranks::sum_to_owners(const std::vector<at::Tensor>& tensors, const std::vector<int64_t>& owners) const {
  if (alone()) return;
  by_parts(*group_, count_, tensors, owners, [&](const OwnedRows& rows, const auto& part, int64_t begin) {
    group_->sum_parts(part.row, part.bounds);
    rows.put(part, begin, group_->place(rank_));
  });
}

void Ranks::copy_from_owners(const std::vector<at::Tensor>& tensors,
                             const std::vector<int64_t>& owners) const {
  if (alone()) return;
  by_parts(*group_, count_, tensors, owners, [&](const OwnedRows& rows, const auto& part, int64_t begin) {
    group_->share_parts(part.row, part.bounds);
    for (int64_t place = 0; place < count_; ++place)
      if (place != group_->place(rank_)) rows.put(part, begin, place);
  });
}

void Ranks::copy_from(int64_t rank, const std::vector<at::Tensor>& tensors) const {
  if (alone()) return;
  for (const auto& tensor : tensors)
    by_row(tensor, [&](const at::Tensor& bytes) { group_->copy_from(rank, bytes); });
}

void Ranks::copy(int64_t from, int64_t to, const std::vector<at::Tensor>& tensors) const {
  if (alone()) return;
  group_->store().arrive();
  if (from == to || (rank_ != from && rank_ != to)) return;
  for (const auto& tensor : tensors)
    by_row(tensor, [&](const at::Tensor& bytes) { group_->copy(from, to, bytes); });
}

bool Ranks::stops() const { return alone() ? stop_requested() : group_->store().one_stops(); }

std::string Ranks::text_from_first(const std::string& text) const {
  if (alone()) return text;
  const auto key = group_->key("text");
  if (!first()) return group_->wait_for_text(key);
  group_->store().set(key, text);
  return text;
}

void Ranks::on_first(const std::function<void()>& work) const {
  if (alone()) return work();
  const auto key = group_->key("first");
  if (!first()) {
    group_->wait_for_text(key);
    return;
  }
  work();
  group_->store().set(key, "done");
}

void Ranks::require_same(const std::string& what, const std::string& text, const std::string& fix) const {
  if (alone()) return;
  const auto found = text_from_first(text), key = group_->key("same");
  if (found != text) {
    size_t place = 0;
    while (place < std::min(found.size(), text.size()) && found[place] == text[place]) ++place;
    const auto from = [&](const std::string& of) {
      const size_t line = of.rfind('\n', place == 0 ? 0 : place - 1);
      const size_t begin = line == std::string::npos ? 0 : line + 1;
      return of.substr(begin, std::min(of.find('\n', place), begin + 200) - begin);
    };
    throw Error(ExitCode::kUsage, {what, "that of rank 0: " + from(found), from(text), fix});
  }
  group_->store().add(key, 1);
  group_->store().wait_until([&] { return group_->store().add(key, 0) == count_; });
}

void Ranks::take_part(const std::function<void()>& part) const {
  if (alone()) return part();
  try {
    part();
  } catch (const Stopped&) {
    group_->store().tell_stop();
    throw;
  } catch (const std::exception& error) {
    group_->store().tell_failure("rank " + std::to_string(rank_) + ": " + error.what());
    throw;
  }
}

}  // namespace bilens
