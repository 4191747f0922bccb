#pragma once

#include <filesystem>
#include <functional>
#include <vector>

#include "bilens/run/outcome.h"

namespace bilens {

/// Runs `work` on each model; a bad one is recorded and the rest goes on. With several models, ends with a
/// line that counts and a list of those that failed. A signal ends the batch (Stopped passes through).
void for_each_model(const std::vector<std::filesystem::path>& models, Outcome& outcome,
                    const std::function<void(const std::filesystem::path&)>& work);

}  // namespace bilens
