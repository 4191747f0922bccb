#pragma once

#include <cstdint>

namespace bilens {

// What the solvers and the plan of their costs have to agree on.
constexpr int64_t kGuards = 2;                      // Ritz pairs beyond the wanted ones
constexpr double kProbedExcess = 0.1;               // what is missing shows where it is a tenth above |λ_k|,
constexpr double kProbeMisses = 1e-3;               // but for this probability
constexpr int64_t kSmallestBasis = 192;             // Lanczos vectors held, where the dimension allows
constexpr int64_t kLargestChunk = 128;              // directions; with more, products are no faster
constexpr int64_t kCachedBytes = int64_t{4} << 20;  // of [W; V], which cores then read from their caches
constexpr int64_t kNarrowestPart = 16;              // directions that a core solves by itself, at least
constexpr int64_t kTileBytes = int64_t{32} << 20;   // of weights in work while they are converted

}  // namespace bilens
