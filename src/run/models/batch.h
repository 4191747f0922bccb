#pragma once

#include <filesystem>
#include <functional>
#include <vector>

#include "bilens/run/outcome.h"

namespace bilens {

/// Work on a model that is put off comes back when all other models had their turn.
enum class Turn { kMayPutOff, kLast };

/// Runs `work` on each model; a bad one is recorded and the rest goes on. With several models, ends with a
/// line that counts and a list of those that failed. A signal ends the batch (Stopped passes through).
/// @param work gives false to put a model off
void for_each_model(const std::vector<std::filesystem::path>& models, Outcome& outcome,
                    const std::function<bool(const std::filesystem::path&, Turn)>& work);

}  // namespace bilens
