#include <cerrno>
#include <cmath>
#include <thread>

#include "bilens/core/log.h"
#include "bilens/core/memory.h"
#include "bilens/core/progress.h"
#include "caught.h"

namespace bilens::messages_test {
namespace {

using test::contains;

TEST_CASE("a message says where, expected, found and what to do, and leaves out what is empty") {
  CHECK(Problem{"a.json", "a number", "null", "Give one."}.message() ==
        "a.json: expected a number, found null. Give one.");
  CHECK(Problem{"a", "", "b", ""}.message() == "a: found b");
  CHECK(Problem{"", "x", "y", ""}.message() == "expected x, found y");
  const Error two(ExitCode::kUsage, {{"a", "1", "2", ""}, {"b", "3", "4", ""}});
  CHECK(std::string(two.what()) == "a: expected 1, found 2\nb: expected 3, found 4");
}

TEST_CASE("control characters in a message are shown, and none ends it") {
  using namespace std::string_literals;
  const Problem problem{"a.json", "a piece", "\"a\0b\x1b[2Kc\rd\x7f\ne\tf é\""s, "Mend it."};
  const std::string shown =
      "a.json: expected a piece, found \"a\\u0000b\\u001b[2Kc\\u000dd\\u007f\ne\tf é\". Mend it.";
  CHECK(problem.message() == shown);
  CHECK(std::string(Error(ExitCode::kBadInput, problem).what()) == shown);
}

TEST_CASE("a full disk is exhaustion, any other failure what the caller says") {
  for (const int full : {ENOSPC, EDQUOT, EFBIG}) {
    errno = full;
    CHECK(system_error("a", "write", ExitCode::kFailure).code() == ExitCode::kExhausted);
  }
  errno = EACCES;
  const auto denied = system_error("a", "read the file", ExitCode::kBadInput);
  CHECK(denied.code() == ExitCode::kBadInput);
  CHECK(contains(denied.what(), "Permission denied"));
}

TEST_CASE("nearest finds a misspelt name and nothing far away") {
  const std::vector<std::string> names = {"epochs", "batch_size", "learning_rate", "seed"};
  CHECK(nearest("epoch", names) == "epochs");
  CHECK(nearest("batchsize", names) == "batch_size");
  CHECK(nearest("lerning_rat", names) == "learning_rate");
  CHECK(nearest("seed", names) == "seed");
  CHECK(nearest("completely different", names).empty());
  CHECK(nearest("xyz", {}).empty());
}

TEST_CASE("join puts separators between, not around") {
  CHECK(join({}).empty());
  CHECK(join({"a"}) == "a");
  CHECK(join({"a", "b", "c"}, "-") == "a-b-c");
}

TEST_CASE("numbers, durations and sizes read well") {
  CHECK(format_number(0) == "0");
  CHECK(format_number(0.04512) == "0.0451");
  CHECK(format_number(12.34) == "12.3");
  CHECK(format_number(123.4) == "123");
  CHECK(format_number(999.4) == "999");
  CHECK(format_number(1000) == "1,000");
  CHECK(format_number(1234567) == "1,234,567");
  CHECK(format_number(-1234) == "-1,234");
  CHECK(format_number(NAN) == "-");
  CHECK(format_duration(1.24) == "1.2 s");
  CHECK(format_duration(45) == "45 s");
  CHECK(format_duration(185) == "3 min 05 s");
  CHECK(format_duration(7800) == "2 h 10 min");
  CHECK(format_bytes(0) == "0 B");
  CHECK(format_bytes(999) == "999 B");
  CHECK(format_bytes(1500) == "1.5 kB");
  CHECK(format_bytes(512'000) == "512 kB");
  CHECK(format_bytes(2.2e9) == "2.2 GB");
  CHECK(format_bytes(3e15) == "3000 TB");
}

TEST_CASE("the rate counts what was done here, not what a resumed job had done before") {
  set_verbosity(Verbosity::kQuiet);
  Progress progress("test", 1000, "units", 900);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(progress.rate() == 0.0);
  progress.advance(40);
  progress.advance(10);
  // 50 units in at least 50 ms; 950 would be above 1000 a second unless this took almost a second.
  CHECK(progress.rate() > 0.0);
  CHECK(progress.rate() <= 50 / 0.05);
  set_verbosity(Verbosity::kNormal);
}

TEST_CASE("memory and disk are positive and plausible") {
  CHECK(available_memory() > 1'000'000);
  CHECK(peak_memory() > 1'000'000);
  CHECK(free_disk("/tmp") > 0);
  // The nearest folder that exists counts.
  CHECK(free_disk("/tmp/not/there/yet") > 0);
}

}  // namespace
}  // namespace bilens::messages_test
