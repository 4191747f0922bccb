#pragma once

#include <limits>
#include <variant>

#include "bilens/records/record_table.h"

namespace bilens {

// The lines of metrics.jsonl. A line of another version may lack every number but its step; it is then NaN.

inline constexpr double kNotGiven = std::numeric_limits<double>::quiet_NaN();

/// How far the run is.
struct MetricsPlace {
  int64_t step = 0;
  double epoch = kNotGiven;

  static const RecordTable<MetricsPlace>& record();
};

/// How one step went.
struct StepMetrics : MetricsPlace {
  double loss = kNotGiven;
  std::optional<double> accuracy;  // of images
  double grad_norm = kNotGiven, learning_rate = kNotGiven;
  std::optional<double> images_per_second, tokens_per_second;
  double mfu = kNotGiven;

  static const RecordTable<StepMetrics>& record();
};

/// The model on a part of the data.
struct EvaluationMetrics : MetricsPlace {
  static constexpr const char* kValidation = "validation";
  static constexpr const char* kTest = "test";

  std::string split = kValidation;
  std::optional<int64_t> examples, tokens;  // of images, of text
  double loss = kNotGiven;
  std::optional<double> accuracy, perplexity;
  std::optional<int64_t> peak_memory;
  std::optional<double> beta;

  static const RecordTable<EvaluationMetrics>& record();
};

/// What the model makes of the prompt.
struct SampleMetrics : MetricsPlace {
  static constexpr const char* kSplit = "sample";

  std::string split = kSplit;
  std::string text;

  static const RecordTable<SampleMetrics>& record();
};

/// What a model is trained on.
enum class TrainedOn { kImages, kTokens };

/// "images" or "tokens".
inline std::string unit_name(TrainedOn unit) { return unit == TrainedOn::kImages ? "images" : "tokens"; }

/// Where metrics of a step, or of a run, have the rate of a unit.
template <class Metrics>
std::optional<double>& rate_in(Metrics& metrics, TrainedOn unit) {
  return unit == TrainedOn::kImages ? metrics.images_per_second : metrics.tokens_per_second;
}

using MetricsLine = std::variant<StepMetrics, EvaluationMetrics, SampleMetrics>;

/// A line as an object with its keys.
Json write_metrics_line(const MetricsLine& line);
/// Reads a line; its `split` tells which kind it is. @param where names the line in messages
/// @throws Error(kBadInput) where it is damaged
MetricsLine read_metrics_line(const std::string& text, const std::string& where);

/// The step that a line of any kind is about.
int64_t step_of(const MetricsLine& line);
/// "train" of a step, else the line's own.
std::string split_of(const MetricsLine& line);
/// Its numbers by their names, without the step.
NamedNumbers numbers_of(const MetricsLine& line);

}  // namespace bilens
