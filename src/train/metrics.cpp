#include "bilens/train/metrics.h"

#include <optional>

#include "bilens/core/files.h"
#include "bilens/core/host.h"

namespace bilens {

namespace {

/// A line of those steps, and not of the test. A killed run may have left half a line at the end.
std::optional<MetricsLine> kept_line(const std::string& line, int64_t last_step) {
  try {
    auto metrics = read_metrics_line(line, "a line");
    if (step_of(metrics) <= last_step && split_of(metrics) != EvaluationMetrics::kTest) return metrics;
  } catch (const Error&) {
  }
  return std::nullopt;
}

}  // namespace

MetricsWriter::MetricsWriter(const std::filesystem::path& path, int64_t last_step) : path_(path) {
  std::string kept;
  std::ifstream before(path);
  for (std::string line; std::getline(before, line);) {
    const auto metrics = kept_line(line, last_step);
    if (!metrics) continue;
    kept += line + "\n";
    if (step_of(*metrics) == last_step && !std::holds_alternative<StepMetrics>(*metrics)) validated_ = true;
  }
  write_text(path, kept);
  stream_.open(path, std::ios::app);
  if (!stream_) throw system_error(path.string(), "append to the file", ExitCode::kFailure);
}

void MetricsWriter::write(const MetricsLine& line) {
  const auto text = write_metrics_line(line).dump(-1, ' ', false, Json::error_handler_t::replace);
  stream_ << text << '\n' << std::flush;
  if (!stream_) throw system_error(path_.string(), "append to the file", ExitCode::kFailure);
  if (Host* const host = current_host()) host->metrics(text);
}

}  // namespace bilens
