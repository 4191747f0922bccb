#include "bilens/dist/ranks.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <bit>
#include <optional>
#include <utility>

#include "bilens/core/error.h"
#include "gloo_group.h"
#include "rank_store.h"

namespace bilens {

namespace {
constexpr int64_t kBucket = int64_t{16} << 20;  // numbers that are sent together
}  // namespace

class Ranks::Group {
 public:
  Group(const Launch& launch, std::chrono::seconds timeout)
      : rank(launch.rank), ranks(launch.ranks), store(launch, timeout) {
    try {
      backend = guarded({}, [&] { return gloo_group(store.store(), launch, timeout); });
    } catch (...) {
      store.leave();
      throw;
    }
  }

  ~Group() {
    if (store.failed()) backend.reset();  // who waits for an exchange then asks for the reason
    store.leave();
  }

  /// The sum of all processes' rows of numbers, in the place of this one's.
  void sum(at::Tensor flat) {
    store.arrive();
    if (!std::has_single_bit(static_cast<uint64_t>(ranks))) {
      std::vector<at::Tensor> one{flat};
      return guarded({}, [&] { backend->allreduce(one)->wait(); });
    }
    // Halves are exchanged and summed from neighbours on, then put together on the way back.
    std::vector<std::pair<int64_t, int64_t>> parts{{0, flat.numel()}};
    for (int64_t distance = 1; distance < ranks; distance *= 2) {
      const auto [begin, end] = parts.back();
      const int64_t middle = begin + (end - begin) / 2;
      const bool lower = (rank & distance) == 0;
      const auto kept = lower ? std::pair{begin, middle} : std::pair{middle, end};
      const auto given = lower ? std::pair{middle, end} : std::pair{begin, middle};
      const auto theirs = exchange(rank ^ distance, part(flat, given), kept.second - kept.first);
      part(flat, kept).add_(theirs);
      parts.push_back(kept);
    }
    for (int64_t distance = ranks / 2; distance >= 1; distance /= 2) {
      const auto own = parts.back();
      parts.pop_back();
      const auto [begin, end] = parts.back();
      const auto other = own.first == begin ? std::pair{own.second, end} : std::pair{begin, own.first};
      part(flat, other).copy_(exchange(rank ^ distance, part(flat, own), other.second - other.first));
    }
  }

  void copy_from_first(const at::Tensor& bytes) {
    std::vector<at::Tensor> one{bytes};
    guarded({}, [&] { backend->broadcast(one)->wait(); });
  }

  /// What the first process sets, however long it takes.
  std::string wait_for_text(const std::string& key) {
    std::optional<std::string> found;
    store.wait_until([&] { return (found = store.find(key)).has_value(); }, 0);
    return *found;
  }

  /// Of a call that all make, by its number.
  std::string key(const char* what) { return what + ("/" + std::to_string(++calls_)); }

  const int64_t rank, ranks;
  RankStore store;

 private:
  static at::Tensor part(const at::Tensor& flat, const std::pair<int64_t, int64_t>& range) {
    return flat.narrow(0, range.first, range.second - range.first);
  }

  /// Gives numbers to a peer, and takes `count` of it.
  at::Tensor exchange(int64_t peer, const at::Tensor& given, int64_t count) {
    auto taken = at::empty({count}, given.options());
    const int tag = static_cast<int>(tag_++ & 0xffffff);
    guarded(peer, [&] {
      std::vector<at::Tensor> out{given}, in{taken};
      c10::intrusive_ptr<c10d::Work> sending, receiving;
      if (given.numel() > 0) sending = backend->send(out, static_cast<int>(peer), tag);
      if (count > 0) receiving = backend->recv(in, static_cast<int>(peer), tag);
      if (sending) sending->wait();
      if (receiving) receiving->wait();
    });
    return taken;
  }

  template <class Work>
  auto guarded(std::optional<int64_t> peer, const Work& work) -> decltype(work()) {
    try {
      return work();
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {
      store.fail(peer, error.what());
    }
  }

  c10::intrusive_ptr<c10d::Backend> backend;
  int64_t calls_ = 0, tag_ = 0;
};

Ranks::Ranks() = default;

const Ranks& Ranks::one() {
  static const Ranks alone;
  return alone;
}

Ranks::Ranks(const Launch& launch, std::chrono::seconds timeout) : rank_(launch.rank), count_(launch.ranks) {
  if (!launch.alone()) group_ = std::make_unique<Group>(launch, timeout);
}

Ranks::~Ranks() = default;

void Ranks::sum(const std::vector<at::Tensor>& tensors) const {
  if (alone()) return;
  const at::NoGradGuard no_grad;
  for (size_t first = 0; first < tensors.size();) {
    std::vector<at::Tensor> rows;
    int64_t numbers = 0;
    size_t last = first;
    for (; last < tensors.size() && (rows.empty() || numbers + tensors[last].numel() <= kBucket); ++last) {
      rows.push_back(tensors[last].reshape({-1}).to(at::kCPU, at::kFloat));
      numbers += rows.back().numel();
    }
    auto flat = at::cat(rows);
    group_->sum(flat);
    for (int64_t begin = 0; first < last; ++first) {
      const auto& tensor = tensors[first];
      tensor.copy_(flat.narrow(0, begin, tensor.numel()).view(tensor.sizes()));
      begin += tensor.numel();
    }
  }
}

void Ranks::copy_from_first(const std::vector<at::Tensor>& tensors) const {
  if (alone()) return;
  const at::NoGradGuard no_grad;
  for (const auto& tensor : tensors) {
    auto row = tensor.detach().to(at::kCPU).contiguous().view({-1});
    if (row.is_alias_of(tensor)) row = row.clone();
    group_->copy_from_first(row.view(at::kByte));
    tensor.copy_(row.view(tensor.sizes()));
  }
}

std::string Ranks::text_from_first(const std::string& text) const {
  if (alone()) return text;
  const auto key = group_->key("text");
  if (!first()) return group_->wait_for_text(key);
  group_->store.set(key, text);
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
  group_->store.set(key, "done");
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
  group_->store.add(key, 1);
  group_->store.wait_until([&] { return group_->store.add(key, 0) == count_; });
}

void Ranks::tell_stop() const {
  if (!alone()) group_->store.tell_stop();
}

void Ranks::tell_failure(const std::string& message) const {
  if (!alone()) group_->store.tell_failure("rank " + std::to_string(rank_) + ": " + message);
}

}  // namespace bilens
