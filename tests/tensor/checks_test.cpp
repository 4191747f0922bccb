#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <limits>

#include "bilens/tensor/device.h"
#include "bilens/tensor/range.h"
#include "bilens/tensor/shape.h"
#include "caught.h"
#include "gpu.h"

namespace bilens::checks_test {
namespace {

using test::caught;
using test::contains;

TEST_CASE("a shape reads as its sizes") {
  CHECK(describe_shape({}) == "[]");
  CHECK(describe_shape({2, 3}) == "[2, 3]");
  CHECK(describe_shape({-1, 3}) == "[any, 3]");
}

TEST_CASE("require_shape names the tensor, what was expected and what was found") {
  const auto tensor = at::zeros({2, 3});
  CHECK_NOTHROW(require_shape(tensor, {2, 3}, "w"));
  CHECK_NOTHROW(require_shape(tensor, {-1, 3}, "w"));
  const auto error = caught([&] { require_shape(tensor, {3, 2}, "head.weight"); });
  CHECK(error.code() == ExitCode::kBadInput);
  CHECK(std::string(error.what()) == "head.weight: expected shape [3, 2], found shape [2, 3]");
  CHECK_THROWS_AS(require_shape(tensor, {2, 3, 1}, "w"), Error);
  CHECK_THROWS_AS(require_shape(tensor, {2}, "w"), Error);
  CHECK_THROWS_AS(require_shape(tensor, {-1, 4}, "w"), Error);
}

TEST_CASE("require_finite refuses one NaN or infinity among many numbers") {
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    auto tensor = at::full({100, 7}, std::numeric_limits<float>::max(), at::dtype(dtype));
    CHECK_NOTHROW(require_finite(tensor, "w"));
    for (const double bad : {NAN, INFINITY, -INFINITY}) {
      auto damaged = tensor.clone();
      damaged[99][6] = bad;
      const auto error = caught([&] { require_finite(damaged, "layers.0.w"); });
      CHECK(error.code() == ExitCode::kBadInput);
      CHECK(contains(error.what(), "layers.0.w: expected finite numbers"));
    }
  }
  CHECK_NOTHROW(require_finite(at::zeros({0}), "w"));
  for (const auto dtype : {at::kFloat8_e4m3fn, at::kFloat8_e5m2, at::kBool, at::kUInt16, at::kChar})
    CHECK_NOTHROW(require_finite(at::ones({3}).to(dtype), "w"));
  CHECK_THROWS_AS(require_finite(at::full({3}, NAN).to(at::kFloat8_e4m3fn), "w"), Error);
}

TEST_CASE("require_range refuses what overflows in a narrower dtype, and only that") {
  const double most = 65504, rounds_down = 65519, overflows = 65520;  // of float16
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    for (const double sign : {1.0, -1.0}) {
      const auto of = [&](double x) { return at::tensor({0.0, sign * x, 1.0}).to(dtype); };
      CHECK_NOTHROW(require_range(of(most), at::kHalf, "w"));
      CHECK_NOTHROW(require_range(of(rounds_down), at::kHalf, "w"));
      CHECK_NOTHROW(require_range(of(overflows), at::kBFloat16, "w"));
      const auto error = caught([&] { require_range(of(overflows), at::kHalf, "layers.0.w"); });
      CHECK(error.code() == ExitCode::kBadInput);
      CHECK(contains(error.what(), "layers.0.w: expected numbers that float16 holds, found "));
      CHECK(contains(error.what(), "65520"));
    }
  }
  CHECK_THROWS_AS(require_range(at::full({2}, 1e39, at::kDouble), at::kFloat, "w"), Error);
  CHECK_THROWS_AS(require_range(at::full({2}, 3.4e38, at::kFloat), at::kBFloat16, "w"), Error);
  CHECK_NOTHROW(require_range(at::full({2}, 3.38e38, at::kFloat), at::kBFloat16, "w"));
  CHECK_NOTHROW(require_range(at::full({2}, 65504, at::kHalf), at::kFloat, "w"));
  CHECK_NOTHROW(require_range(at::zeros({0}), at::kHalf, "w"));
  // What is no number is the business of require_finite.
  CHECK_NOTHROW(require_range(at::full({2}, INFINITY, at::kDouble), at::kHalf, "w"));
}

TEST_CASE("the CPU is always there, and other names are refused") {
  CHECK(choose_device(parse_device("cpu")) == at::Device(at::kCPU));
  for (const char* name :
       {"gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1000000", "CPU", "", "cpu:0", "cuda0"}) {
    CAPTURE(name);
    const auto error = caught([&] { parse_device(name); });
    CHECK(error.code() == ExitCode::kUsage);
    CHECK(contains(error.what(), "auto, cpu, cuda or cuda:N"));
  }
}

TEST_CASE("a device is written as it was asked for, and an unknown one is a problem of its config") {
  for (const char* name : {"auto", "cpu", "cuda", "cuda:0", "cuda:12"}) {
    std::vector<Problem> problems;
    CHECK(write_device(read_device(name, "device", problems)) == Json(name));
    CHECK(problems.empty());
  }
  std::vector<Problem> problems;
  read_device("gpu", "device", problems);
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].message() == "--device: expected auto, cpu, cuda or cuda:N, found \"gpu\"");
}

TEST_CASE("without a GPU auto is the CPU and cuda is an error that says what to do") {
  if (load_cuda().empty()) return;  // [gpu] below
  CHECK(choose_device(parse_device("auto")).is_cpu());
  for (const char* name : {"cuda", "cuda:0", "cuda:7"}) {
    const auto error = caught([&] { choose_device(parse_device(name)); });
    CHECK(error.code() == ExitCode::kUsage);
    CHECK(contains(error.what(), "Use --device cpu"));
  }
}

TEST_CASE("with a GPU auto and cuda are the first one, and a number beyond the last is an error", "[gpu]") {
  if (!test::have_gpu()) return;
  CHECK(choose_device(parse_device("auto")) == at::Device(at::kCUDA, 0));
  CHECK(choose_device(parse_device("cuda")) == at::Device(at::kCUDA, 0));
  CHECK(caught([] { choose_device(parse_device("cuda:99")); }).code() == ExitCode::kUsage);
}

TEST_CASE("dtypes have names") {
  CHECK(dtype_name(at::kFloat) == "float32");
  CHECK(dtype_name(at::kBFloat16) == "bfloat16");
  CHECK(machine_epsilon(at::kFloat) == std::ldexp(1.0, -23));
  CHECK(machine_epsilon(at::kDouble) == std::ldexp(1.0, -52));
}

TEST_CASE("the number of threads is set, and zero keeps it") {
  const int before = at::get_num_threads();
  set_threads(0);
  CHECK(at::get_num_threads() == before);
  set_threads(1);
  CHECK(describe_device(at::kCPU) == "cpu, 1 thread");
  set_threads(2);
  CHECK(describe_device(at::kCPU) == "cpu, 2 threads");
  set_threads(before);
}

}  // namespace
}  // namespace bilens::checks_test
