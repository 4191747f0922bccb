#pragma once

#include "bilens/run/evaluate_run.h"

namespace bilens {

/// How alike the models are, every pair of them, with nulls beside each figure.
Outcome run_comparison(const EvaluateRunOptions& options);

}  // namespace bilens
