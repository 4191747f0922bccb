#include "bilens/run/failure.h"

#include <c10/util/Exception.h>

#include <filesystem>
#include <new>

#include "bilens/core/stop.h"
#include "caught.h"
#include "models/batch.h"

namespace bilens::failure_test {
namespace {

using test::contains;

/// The failure of a batch of one model whose work is `action`.
template <class Action>
Outcome::Failure failure_in_batch(const Action& action) {
  Outcome outcome;
  for_each_model({"m"}, outcome, [&](const std::filesystem::path&, Turn) {
    action();
    return true;
  });
  REQUIRE(outcome.failures.size() == 1);
  return outcome.failures.front();
}

TEST_CASE("memory that ran out is told from all else, whoever noticed it") {
  const auto main = failure_in_batch([] {
    TORCH_CHECK(false, "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.");
  });
  CHECK(main.code == ExitCode::kExhausted);
  CHECK(contains(main.message, "memory is exhausted: use a smaller batch"));
  CHECK(contains(main.message, "you tried to allocate 8 bytes"));

  const auto device = failure_in_batch([] {
    throw c10::OutOfMemoryError({__func__, __FILE__, __LINE__},
                                "CUDA out of memory. Tried to allocate 8 bytes.");
  });
  CHECK(device.code == ExitCode::kExhausted);
  CHECK(contains(device.message, "the device's memory is exhausted"));

  const auto ours = failure_in_batch([] { throw std::bad_alloc(); });
  CHECK(ours.code == ExitCode::kExhausted);
  CHECK(contains(ours.message, "memory is exhausted"));

  const auto other = failure_in_batch([] { TORCH_CHECK(false, "sizes differ"); });
  CHECK(other.code == ExitCode::kFailure);
  CHECK(
      contains(other.message,
               "m: expected tensors that LibTorch can compute with, found an error inside it: sizes differ. "
               "bilens should have refused this input with a reason"));
  CHECK_FALSE(contains(other.message, "C++ CapturedTraceback"));
}

TEST_CASE("an error keeps its code and its message") {
  const auto failure = failure_in_batch([] {
    throw Error(ExitCode::kBadInput, {"a file", "this", "that", "Do it."});
  });
  CHECK(failure.code == ExitCode::kBadInput);
  CHECK(failure.message == "a file: expected this, found that. Do it.");
  CHECK(failure.model == "m");
}

TEST_CASE("a batch goes on past every failure but ends with a signal") {
  Outcome outcome;
  int calls = 0;
  for_each_model({"a", "b", "c"}, outcome, [&](const std::filesystem::path& model, Turn) {
    ++calls;
    if (model == "a") throw std::filesystem::filesystem_error("cannot look", std::error_code());
    if (model == "b") throw std::bad_alloc();
    return true;
  });
  CHECK(calls == 3);
  REQUIRE(outcome.failures.size() == 2);
  CHECK(outcome.code() == ExitCode::kFailure);
  CHECK(contains(outcome.text, "1 of 3 models done, failed:\n  a\n  b\n"));
  const auto stopped = [](const std::filesystem::path&, Turn) -> bool { throw Stopped{}; };
  CHECK_THROWS_AS(for_each_model({"a"}, outcome, stopped), Stopped);
}

TEST_CASE("a model that is put off has its last turn when all others had one") {
  Outcome outcome;
  std::vector<std::string> calls;
  const auto work = [&](const std::filesystem::path& model, Turn turn) {
    calls.push_back(model.string() + (turn == Turn::kLast ? " last" : ""));
    return model != "b" || turn == Turn::kLast;
  };
  for_each_model({"a", "b", "c"}, outcome, work);
  CHECK(calls == std::vector<std::string>{"a", "b", "c", "b last"});
  calls.clear();
  for_each_model({"a"}, outcome, work);
  CHECK(calls == std::vector<std::string>{"a last"});
}

}  // namespace
}  // namespace bilens::failure_test
