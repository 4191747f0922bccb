#pragma once

#include <filesystem>
#include "bilens/analysis/results/decomposition.h"

namespace bilens {

/// What the command says of each layer, before the studies add their parts.
Json summarize_layers(const Decomposition& decomposition);

/// The command's result for one model. @param layers with the studies' parts @param seconds that it took
Json summarize_decomposition(const std::filesystem::path& model, const std::filesystem::path& out,
                             const Decomposition& decomposition, const Json& layers, double seconds);

/// That result as the command prints it.
std::string decomposition_in_words(const Json& result);

}  // namespace bilens
