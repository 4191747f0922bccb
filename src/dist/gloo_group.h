#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <chrono>

#include "bilens/dist/launch.h"

namespace bilens {

/// The processes of a launch, connected by Gloo over TCP.
/// @throws Error(kFailure) in a build without Gloo
c10::intrusive_ptr<c10d::Backend> gloo_group(const c10::intrusive_ptr<c10d::Store>& store,
                                             const Launch& launch, std::chrono::seconds timeout);

}  // namespace bilens
