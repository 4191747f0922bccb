#pragma once

#include <cstdint>
#include <functional>

namespace bilens {

/// Calls work(0) … work(count − 1), each on one of at most `threads` threads; a thread that is free takes the
/// next number. LibTorch's operators do not share their work any further, but for one thread or one piece of
/// work. The caller's host (core/host.h) is each thread's; settings of a thread such as NoGradGuard are not.
/// @throws what work throws first; no more work is begun then
void on_threads(int64_t count, int64_t threads, const std::function<void(int64_t)>& work);

}  // namespace bilens
