#include "bilens/run/failure.h"

#include <c10/util/Exception.h>

#include <new>

namespace bilens {

namespace {

constexpr const char* kNoMemory = "memory is exhausted: use a smaller batch, model or memory_limit";

/// LibTorch has an exception of its own for the device's memory; that main memory ran out only the text of
/// its DefaultCPUAllocator says.
Outcome::Failure failure_of_torch(const c10::Error& error, const std::string& model) {
  const std::string text = error.what_without_backtrace();
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr)
    return {model, ExitCode::kExhausted, std::string("the device's ") + kNoMemory + ". " + text};
  if (text.find("allocate memory") != std::string::npos)
    return {model, ExitCode::kExhausted, std::string(kNoMemory) + ". " + text};
  const Problem problem{model.empty() ? "LibTorch" : model, "tensors that LibTorch can compute with",
                        "an error inside it: " + text.substr(0, text.find('\n')),
                        "bilens should have refused this input with a reason: please report the command."};
  return {model, ExitCode::kFailure, problem.message()};
}

}  // namespace

Outcome::Failure failure_of(const std::exception& error, const std::string& model) {
  if (const auto* known = dynamic_cast<const Error*>(&error))
    return {model, known->code(), known->what(), known->problems()};
  if (const auto* torch = dynamic_cast<const c10::Error*>(&error)) return failure_of_torch(*torch, model);
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return {model, ExitCode::kExhausted, kNoMemory};
  return {model, ExitCode::kFailure, error.what()};
}

}  // namespace bilens
