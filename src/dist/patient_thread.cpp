#include "patient_thread.h"

#include <utility>

namespace bilens {

PatientThread::PatientThread(std::chrono::seconds period, std::function<void()> pulse)
    : thread_([state = state_, period, pulse = std::move(pulse)] { work(*state, period, pulse); }) {}

PatientThread::~PatientThread() {
  std::unique_lock<std::mutex> lock(state_->mutex);
  state_->leaving = true;
  state_->changed.notify_all();
  const bool stuck =
      !state_->changed.wait_for(lock, std::chrono::seconds(1), [this] { return !state_->busy; });
  lock.unlock();
  stuck ? thread_.detach() : thread_.join();
}

void PatientThread::add(std::function<void()> call) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->calls.push_back(std::move(call));
  state_->changed.notify_all();
}

void PatientThread::work(State& state, std::chrono::seconds period, const std::function<void()>& pulse) {
  auto next = std::chrono::steady_clock::now() + period;
  std::unique_lock<std::mutex> lock(state.mutex);
  while (true) {
    const bool called =
        state.changed.wait_until(lock, next, [&] { return state.leaving || !state.calls.empty(); });
    if (state.leaving) return;
    const bool due = std::chrono::steady_clock::now() >= next;
    std::function<void()> call;
    if (called) {
      call = std::move(state.calls.front());
      state.calls.pop_front();
    }
    state.busy = true;
    lock.unlock();
    if (call) call();
    if (due) {
      pulse();
      next = std::chrono::steady_clock::now() + period;
    }
    lock.lock();
    state.busy = false;
    state.changed.notify_all();
  }
}

}  // namespace bilens
