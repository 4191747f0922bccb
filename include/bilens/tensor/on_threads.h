#pragma once

#include <cstdint>
#include <functional>

namespace bilens {

/// Calls work(0) … work(count − 1), each on one of at most `threads` threads, where LibTorch's operators do
/// not share their work any further; with one thread they do. A thread that is free takes the next number.
/// The caller's host (core/host.h) is each thread's. Settings of a thread as NoGradGuard are the work's own
/// business.
/// @throws what work throws first; no more work is begun then
void on_threads(int64_t count, int64_t threads, const std::function<void(int64_t)>& work);

}  // namespace bilens
