#pragma once

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bilens/dist/launch.h"
#include "patient_thread.h"

namespace bilens {

/// What the processes of a launch tell each other beside tensors: that they live, how far they are, and why
/// one ends. It lies with the process of rank 0, or with the launcher.
class RankStore {
 public:
  /// Waits until all are there. @throws Error(kUsage) for a port in use, Error(kFailure) for ranks that do
  /// not come within the time
  RankStore(const Launch& launch, std::chrono::seconds timeout);
  RankStore(const RankStore&) = delete;
  RankStore& operator=(const RankStore&) = delete;

  /// Waits until the others are done too, for a few seconds: what was sent to them may not be read yet. After
  /// a failure only the host of the store waits, as long as another's heart beats, for a minute at most.
  void leave();
  /// Whether this process ends because of a failure or a stop.
  bool failed() const { return failed_; }

  const c10::intrusive_ptr<c10d::Store>& store() const { return store_; }

  void set(const std::string& key, const std::string& text);
  /// Nothing where nobody has set it yet. @throws Error as fail() where the store is gone
  std::optional<std::string> find(const std::string& key);
  int64_t add(const std::string& key, int64_t number);

  /// Waits until done() holds, looking some fifty times a second.
  /// @param on the rank that is waited for, which may take any time as long as it lives, and says whether it
  /// was stopped; nothing: all, which may take the time-out @throws Stopped; Error as fail()
  void wait_until(const std::function<bool()>& done, std::optional<int64_t> on = {});

  /// Whether a process was asked to stop and all know it by this. @throws as fail() where one has failed
  bool one_stops();

  /// That this process is at its n-th exchange.
  void arrive();

  /// Ends this process because of another: for the reason that one has told, else because a connection was
  /// lost or the time is over. It is the one whose heart has stopped; where all beat, the one that is
  /// furthest behind, or the peer. @param peer whose connection it was, where that is known
  /// @throws Error(kFailure); Stopped where another was stopped
  [[noreturn]] void fail(std::optional<int64_t> peer, const std::string& what);

  /// The first reason that is told is the one that all give.
  void tell_failure(const std::string& message);
  void tell_stop();

 private:
  /// What an operation on the store gives. @throws Error as fail() where the store is gone or silent
  template <class Operation>
  auto ask(const Operation& operation);
  void wait_for_all();
  int64_t furthest_behind(std::optional<int64_t> peer);
  std::optional<int64_t> without_heartbeat();
  std::vector<int64_t> beats();
  /// Whether a heart of another has beaten since the last call. @param before of that call
  bool others_beat(std::vector<int64_t>& before);
  std::optional<std::string> told_failure();
  std::string name(int64_t rank) const;

  int64_t rank_, ranks_;
  bool serves_;
  std::chrono::seconds timeout_;
  c10::intrusive_ptr<c10d::Store> store_;
  int64_t exchanges_ = 0;
  bool failed_ = false;
  PatientThread thread_;  // for the store's host may be stopped, and then no answer comes
};

}  // namespace bilens
