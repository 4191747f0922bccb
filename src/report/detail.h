#pragma once

#include <cstdint>

namespace bilens::report {

/// How much of each model goes onto the page.
struct Detail {
  int64_t vectors;     // eigenvectors of each sign, for a direction
  int64_t directions;  // of each layer
  int64_t examples;    // test images at each end of an eigenvector
  int64_t points;      // of a training curve
};

}  // namespace bilens::report
