#include "bilens/tensor/random.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <set>

#include "catch.h"
#include "gpu.h"

namespace bilens::random_test {
namespace {

TEST_CASE("derive_seed is the same for ever: resumed runs depend on it") {
  // From SplitMix64 and FNV-1a as published, computed outside this project.
  CHECK(derive_seed(0, "", 0) == 0xa6bbc8dcbe30928cULL);
  CHECK(derive_seed(42, "shuffle", 0) == 0xe7ab744732422c2aULL);
  CHECK(derive_seed(42, "shuffle", 3) == 0xce347c6d0aa17a52ULL);
  CHECK(derive_seed(42, "noise") == 0x295944114e2e23eaULL);
}

TEST_CASE("seeds of neighbouring seeds, purposes and indices all differ") {
  std::set<uint64_t> seen;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    for (const char* purpose : {"shuffle", "noise", "validation", ""}) {
      for (uint64_t index = 0; index < 20; ++index) seen.insert(derive_seed(seed, purpose, index));
    }
  }
  CHECK(seen.size() == 20 * 4 * 20);
}

TEST_CASE("a generator repeats itself and differs from another seed's") {
  const auto draw = [](uint64_t seed) { return at::randn({8}, make_generator(at::kCPU, seed)); };
  CHECK(at::equal(draw(7), draw(7)));
  CHECK_FALSE(at::equal(draw(7), draw(8)));
}

TEST_CASE("noise is the same with one thread and with two, and does not touch the global generator") {
  const int threads = at::get_num_threads();
  const auto noisy = [](int count) {
    at::set_num_threads(count);
    auto values = at::zeros({1000, 17});  // eight blocks of rows, the last one smaller
    add_gaussian_noise(values, 1.0, 5);
    return values;
  };
  at::manual_seed(1);
  const auto expected = at::randn({3});
  at::manual_seed(1);
  const auto one = noisy(1), two = noisy(2);
  CHECK(at::equal(at::randn({3}), expected));
  at::set_num_threads(threads);
  CHECK(at::equal(one, two));
  // Blocks do not repeat each other.
  CHECK_FALSE(at::equal(one.narrow(0, 0, 128), one.narrow(0, 128, 128)));
  CHECK_FALSE(at::equal(one, one.flip(0)));
}

TEST_CASE("noise is added, with mean zero and the standard deviation asked for") {
  auto values = at::full({1000, 100}, 3.0, at::kFloat);
  add_gaussian_noise(values, 0.5, 9);
  // n = 1e5 draws: the mean has standard error 0.5/sqrt(n) = 0.0016, the deviation 0.5/sqrt(2n) = 0.0011;
  // five of these, for a fixed seed.
  CHECK(std::abs(values.mean().item<double>() - 3.0) < 5 * 0.0016);
  CHECK(std::abs(values.std().item<double>() - 0.5) < 5 * 0.0012);
  auto quiet = at::ones({4, 4});
  add_gaussian_noise(quiet, 0.0, 9);
  CHECK(at::equal(quiet, at::ones({4, 4})));
  auto none = at::zeros({0, 4});
  CHECK_NOTHROW(add_gaussian_noise(none, 1.0, 9));
}

TEST_CASE("noise on a GPU repeats itself and has the right deviation", "[gpu]") {
  if (!test::have_gpu()) return;
  const auto draw = [] {
    auto values = at::zeros({1000, 100}, at::device(at::kCUDA).dtype(at::kFloat));
    add_gaussian_noise(values, 2.0, 3);
    return values.cpu();
  };
  const auto first = draw();
  CHECK(at::equal(first, draw()));
  // Five standard errors 2/sqrt(2e5) of the deviation.
  CHECK(std::abs(first.std().item<double>() - 2.0) < 5 * 0.0045);
}

}  // namespace
}  // namespace bilens::random_test
