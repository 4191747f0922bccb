#include "bilens/tensor/random.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <mutex>

namespace bilens {

namespace {

constexpr int64_t kNoiseBlock = 128;  // rows a generator

uint64_t split_mix(uint64_t state) {
  state += 0x9E3779B97F4A7C15ULL;
  state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9ULL;
  state = (state ^ (state >> 27)) * 0x94D049BB133111EBULL;
  return state ^ (state >> 31);
}

}  // namespace

uint64_t derive_seed(uint64_t seed, std::string_view purpose, uint64_t index) {
  uint64_t hash = 0xCBF29CE484222325ULL;
  for (const char c : purpose) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  return split_mix(split_mix(split_mix(seed) ^ hash) ^ index);
}

at::Generator make_generator(at::Device device, uint64_t seed) {
  auto generator = device.is_cpu() ? at::detail::createCPUGenerator()
                                   : at::globalContext().defaultGenerator(device).clone();
  generator.set_current_seed(seed);
  return generator;
}

SeedScope::SeedScope(uint64_t seed) {
  auto generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard lock(generator.mutex());
  before_ = generator.get_state();
  generator.set_current_seed(seed);
}

SeedScope::~SeedScope() {
  auto generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard lock(generator.mutex());
  generator.set_state(before_);
}

void add_gaussian_noise(at::Tensor& values, double std, uint64_t seed) {
  if (!values.is_cpu()) {
    values.add_(at::randn(values.sizes(), make_generator(values.device(), seed), values.options()), std);
    return;
  }
  const int64_t rows = values.size(0);
  const int64_t blocks = (rows + kNoiseBlock - 1) / kNoiseBlock;
  at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
    const at::NoGradGuard no_grad;
    for (int64_t block = begin; block < end; ++block) {
      auto part = values.narrow(0, block * kNoiseBlock, std::min(kNoiseBlock, rows - block * kNoiseBlock));
      part.add_(at::randn(part.sizes(), make_generator(at::kCPU, derive_seed(seed, "noise", block)),
                          part.options()),
                std);
    }
  });
}

}  // namespace bilens
