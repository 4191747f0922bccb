#pragma once

#include <filesystem>
#include <optional>

namespace bilens {

/// How many processors' worth of time this process may use: the least quota of its control group and those
/// above it. Nothing without a quota.
/// @param root where `proc` and `sys` are
std::optional<double> processor_quota(const std::filesystem::path& root = "/");

}  // namespace bilens
