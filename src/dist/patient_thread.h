#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <type_traits>

namespace bilens {

/// A thread that makes calls which may never return, one after the other, so that who asks for them waits for
/// a limited time only. One that is stuck is left behind.
class PatientThread {
 public:
  /// @param pulse is called every `period`, when no call is in work
  PatientThread(std::chrono::seconds period, std::function<void()> pulse);
  ~PatientThread();
  PatientThread(const PatientThread&) = delete;
  PatientThread& operator=(const PatientThread&) = delete;

  /// The result of a call. What it uses has to live as long as it does.
  /// @throws what it throws; std::runtime_error "Timed out" when it takes longer
  template <class Call>
  auto ask(Call call, std::chrono::milliseconds limit) -> std::invoke_result_t<Call> {
    const auto task = std::make_shared<std::packaged_task<std::invoke_result_t<Call>()>>(std::move(call));
    auto result = task->get_future();
    add([task] { (*task)(); });
    if (result.wait_for(limit) != std::future_status::ready) throw std::runtime_error("Timed out");
    return result.get();
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::function<void()>> calls;
    bool busy = false, leaving = false;
  };
  void add(std::function<void()> call);
  static void work(State& state, std::chrono::seconds period, const std::function<void()>& pulse);

  std::shared_ptr<State> state_ = std::make_shared<State>();
  std::thread thread_;
};

}  // namespace bilens
