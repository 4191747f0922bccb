#pragma once

#include <string>

#include "catch.h"

namespace bilens::test {

/// The tensor of this name in what an optimizer saves.
template <class Optimizer>
at::Tensor state_of(const Optimizer& optimizer, const std::string& name) {
  for (const auto& [key, tensor] : optimizer.state()) {
    if (key == name) return tensor;
  }
  FAIL("no state " << name);
  return {};
}

}  // namespace bilens::test
