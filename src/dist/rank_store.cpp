#include "rank_store.h"

#include <c10/util/Flags.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <cstdlib>
#include <thread>
#include <utility>
#include <vector>

#include "bilens/core/error.h"
#include "bilens/core/stop.h"

C10_DECLARE_int(caffe2_log_level);  // LibTorch's

namespace bilens {

namespace {

using std::chrono::steady_clock;

constexpr auto kBeat = std::chrono::seconds(1);
constexpr auto kLook = std::chrono::milliseconds(20);
constexpr auto kLastWords = std::chrono::seconds(3);      // that the store outlives its process's work
constexpr auto kLongestLeave = std::chrono::seconds(60);  // likewise after a failure
constexpr const char* kFailure = "failure";
constexpr const char* kStop = "stopped by a signal";  // in the place of a failure
constexpr const char* kGoOn = "See what it says itself. --resume goes on from the last checkpoint.";

std::vector<uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }
std::string text_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

std::string key_of(const char* what, int64_t rank) { return what + ("/" + std::to_string(rank)); }

c10::intrusive_ptr<c10d::Store> connect(const Launch& launch, bool serves, std::chrono::seconds timeout) {
  // It warns with a stack trace of each call that fails, which we say in words.
  if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) FLAGS_caffe2_log_level = 2;
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(launch.port);
  options.isServer = serves;
  options.numWorkers = static_cast<size_t>(launch.ranks);
  options.waitWorkers = false;
  options.timeout = timeout;
  const auto where = launch.address + ":" + std::to_string(launch.port);
  try {
    return c10::make_intrusive<c10d::PrefixStore>(
        "bilens/" + launch.attempt + "/" + std::to_string(launch.ranks),
        c10::make_intrusive<c10d::TCPStore>(launch.address, options));
  } catch (const std::exception& error) {
    const std::string what = error.what();
    if (what.find("EADDRINUSE") != std::string::npos || what.find("already in use") != std::string::npos) {
      throw Error(ExitCode::kUsage,
                  {"MASTER_PORT", "a free port", std::to_string(launch.port) + ", which is in use",
                   "Name another, the same for all processes."});
    }
    throw Error(ExitCode::kFailure, {"rank " + std::to_string(launch.rank), "rank 0 at " + where,
                                     "none within " + std::to_string(timeout.count()) + " s",
                                     "Check MASTER_ADDR and MASTER_PORT, and that rank 0 has started."});
  }
}

}  // namespace

RankStore::RankStore(const Launch& launch, std::chrono::seconds timeout)
    : rank_(launch.rank),
      ranks_(launch.ranks),
      serves_(launch.rank == 0 && !launch.store_is_there),
      timeout_(timeout),
      store_(connect(launch, serves_, timeout)),
      thread_(kBeat, [store = store_, rank = rank_] {
        try {
          store->add(key_of("beat", rank), 1);
        } catch (const std::exception&) {  // whoever works finds out
        }
      }) {
  if (add(key_of("here", rank_), 1) != 1) {
    failed_ = true;
    throw Error(ExitCode::kUsage,
                {"rank " + std::to_string(rank_), "one process of this rank",
                 "another at the same MASTER_ADDR and MASTER_PORT", "Give each job a port of its own."});
  }
  try {
    wait_for_all();
  } catch (const Stopped&) {
    tell_stop();
    leave();
    throw;
  } catch (const std::exception& error) {
    tell_failure(name(rank_) + ": " + error.what());
    leave();
    throw;
  }
}

void RankStore::leave() {
  const auto begin = steady_clock::now();
  auto alive = begin;  // when another's heart was last seen to beat
  std::vector<int64_t> before;
  try {
    int64_t left = thread_.ask([store = store_] { return store->add("left", 1); }, kLastWords);
    const auto ends = [&](auto now) {
      if (!failed_) return now - begin > kLastWords;
      // The others may be far from their next exchange, at which they ask for the reason.
      return !serves_ || now - alive > kLastWords || now - begin > kLongestLeave;
    };
    while (left < ranks_ && !ends(steady_clock::now())) {
      std::this_thread::sleep_for(kLook);
      left = thread_.ask([store = store_] { return store->add("left", 0); }, kLastWords);
      if (failed_ && others_beat(before)) alive = steady_clock::now();
    }
  } catch (const std::exception&) {  // the store is gone: nobody listens
  }
}

std::vector<int64_t> RankStore::beats() {
  return thread_.ask(
      [ranks = ranks_, store = store_] {
        std::vector<int64_t> all;
        for (int64_t rank = 0; rank < ranks; ++rank) all.push_back(store->add(key_of("beat", rank), 0));
        return all;
      },
      kLastWords);
}

bool RankStore::others_beat(std::vector<int64_t>& before) {
  auto now = beats();
  now[rank_] = 0;
  return std::exchange(before, now) != now;
}

template <class Operation>
auto RankStore::ask(const Operation& operation) {
  try {
    return thread_.ask([store = store_, operation] { return operation(*store); }, timeout_);
  } catch (const std::exception& error) {
    fail(0, error.what());
  }
}

void RankStore::set(const std::string& key, const std::string& text) {
  ask([=](c10d::Store& store) { store.set(key, bytes_of(text)); });
}

std::optional<std::string> RankStore::find(const std::string& key) {
  return ask([=](c10d::Store& store) {
    return store.check({key}) ? std::optional(text_of(store.get(key))) : std::nullopt;
  });
}

int64_t RankStore::add(const std::string& key, int64_t number) {
  return ask([=](c10d::Store& store) { return store.add(key, number); });
}

void RankStore::wait_for_all() {
  const auto until = steady_clock::now() + timeout_;
  for (int64_t rank = 0; rank < ranks_; ++rank) {
    while (!find(key_of("here", rank))) {
      if (told_failure()) fail({}, "");
      if (stop_requested()) throw Stopped{};
      if (steady_clock::now() > until) {
        throw Error(ExitCode::kFailure,
                    {name(rank), "to come within " + std::to_string(timeout_.count()) + " s", "it did not",
                     "Start as many processes as WORLD_SIZE says."});
      }
      std::this_thread::sleep_for(kLook);
    }
  }
}

void RankStore::wait_until(const std::function<bool()>& done, std::optional<int64_t> on) {
  auto last_beat = steady_clock::now(), last_look = last_beat;
  int64_t beats = -1;
  while (!done()) {
    if (told_failure()) fail({}, "");
    if (!on && stop_requested()) {
      tell_stop();
      throw Stopped{};
    }
    const auto now = steady_clock::now();
    if (on && now - last_look > kBeat) {
      last_look = now;
      const int64_t seen = add(key_of("beat", *on), 0);
      if (seen != std::exchange(beats, seen)) last_beat = now;
    }
    if (now - last_beat > timeout_) fail(on, "Timed out");
    std::this_thread::sleep_for(kLook);
  }
}

bool RankStore::one_stops() {
  if (told_failure()) fail({}, "");
  return add("asked to stop", stop_requested() ? 1 : 0) > 0;
}

void RankStore::arrive() { set(key_of("at", rank_), std::to_string(++exchanges_)); }

/// The rank of another process whose last exchange is the earliest: the peer, unless another is behind that.
int64_t RankStore::furthest_behind(std::optional<int64_t> peer) {
  const auto find = [rank = rank_, ranks = ranks_, store = store_, peer] {
    const auto at = [&](int64_t other) {
      const auto key = key_of("at", other);
      return store->check({key}) ? std::stoll(text_of(store->get(key))) : 0;
    };
    int64_t behind = peer.value_or(rank == 0 ? 1 : 0);
    auto least = at(behind);
    for (int64_t other = 0; other < ranks; ++other) {
      const auto its = other == rank ? least : at(other);
      if (its >= least) continue;
      behind = other;
      least = its;
    }
    return behind;
  };
  try {
    return thread_.ask(find, kLastWords);
  } catch (const std::exception&) {
    return 0;  // the store does not answer, and with it its host
  }
}

std::optional<int64_t> RankStore::without_heartbeat() {
  constexpr int kLooks = 5, kFewest = 2;
  std::vector<int64_t> silent;
  try {
    const auto before = beats();
    for (int look = 1; look <= kLooks && (look <= kFewest || silent.size() > 1); ++look) {
      std::this_thread::sleep_for(kBeat);
      const auto now = beats();
      silent.clear();
      for (int64_t rank = 0; rank < ranks_; ++rank)
        if (rank != rank_ && now[rank] == before[rank]) silent.push_back(rank);
    }
  } catch (const std::exception&) {  // the store is gone, and with it its host
    if (rank_ != 0) silent = {0};
  }
  if (silent.empty()) return std::nullopt;
  return silent.front();
}

std::optional<std::string> RankStore::told_failure() {
  const auto find = [store = store_] {
    return store->check({kFailure}) ? std::optional(text_of(store->get(kFailure))) : std::nullopt;
  };
  try {
    return thread_.ask(find, kLastWords);
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

std::string RankStore::name(int64_t rank) const {
  return "rank " + std::to_string(rank) + " of " + std::to_string(ranks_);
}

void RankStore::fail(std::optional<int64_t> peer, const std::string& what) {
  failed_ = true;
  const auto give_reason = [this] {
    const auto reason = told_failure();
    if (reason == kStop) throw Stopped{};
    if (reason) throw Error(ExitCode::kFailure, {name(rank_), "the others to go on", *reason, kGoOn});
  };
  give_reason();
  const bool late = what.find("imed out") != std::string::npos;
  const auto silent = without_heartbeat();
  const int64_t culprit = silent ? *silent : late ? furthest_behind(peer) : peer.value_or(rank_ == 0 ? 1 : 0);
  give_reason();  // somebody may have known more meanwhile
  const Problem problem{name(culprit), "an answer",
                        late ? "none within " + std::to_string(timeout_.count()) + " s" : "it went away",
                        kGoOn};
  tell_failure(problem.where + ": " + problem.found);
  throw Error(ExitCode::kFailure, problem);
}

void RankStore::tell_stop() { tell_failure(kStop); }

void RankStore::tell_failure(const std::string& message) {
  failed_ = true;
  try {
    thread_.ask([store = store_, message] { store->compareSet(kFailure, {}, bytes_of(message)); },
                kLastWords);
  } catch (const std::exception&) {  // the store is gone: nobody listens
  }
}

}  // namespace bilens
