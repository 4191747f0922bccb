#pragma once

#include <filesystem>

#include "bilens/core/json.h"

namespace bilens::report {

/// metrics.jsonl for the page: {"train": {"step", "epoch", "loss", "accuracy": equally long lists},
/// "steps_per_point", "evaluations": [{"step", "epoch", "split", "examples", "loss", "accuracy"}]}. Of a long
/// run each point is the mean of `steps_per_point` steps, so that there are at most `max_points`. A last line
/// that is still being written is left out.
/// @throws Error(kBadInput) that names the line.
Json metrics_data(const std::filesystem::path& file, int64_t max_points);

}  // namespace bilens::report
