#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>

namespace bilens {

/// A seed that is a pure function of what it is for, so that nothing has to be saved to repeat a random
/// number: "shuffle" of epoch 3 is the same in a resumed run, and directions keep their start vectors however
/// they are chunked. SplitMix64 (Steele et al. 2014) over FNV-1a of `purpose` and the two numbers.
uint64_t derive_seed(uint64_t seed, std::string_view purpose, uint64_t index = 0);

/// A new generator on this device that begins with this seed; torch's own one stays as it is.
at::Generator make_generator(at::Device device, uint64_t seed);

/// Seeds torch's own random numbers of the CPU while it lives, and then puts them back where they were.
class SeedScope {
 public:
  explicit SeedScope(uint64_t seed);
  ~SeedScope();
  SeedScope(const SeedScope&) = delete;
  SeedScope& operator=(const SeedScope&) = delete;

 private:
  at::Tensor before_;
};

/// values += std·N(0, 1), in place; the same numbers for the same seed whatever the number of threads. On the
/// CPU each block of rows has a generator of its own, so that all cores draw.
/// @param values float32 [n, d], contiguous.
void add_gaussian_noise(at::Tensor& values, double std, uint64_t seed);

}  // namespace bilens
