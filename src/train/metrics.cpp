#include "bilens/train/metrics.h"

#include "bilens/core/files.h"
#include "bilens/core/host.h"

namespace bilens {

namespace {

/// Whether a line is of those steps, and not of the test. A killed run may have left half a line at the end.
bool is_kept(const std::string& line, int64_t last_step) {
  try {
    const auto metrics = read_metrics_line(line, "a line");
    return step_of(metrics) <= last_step && split_of(metrics) != EvaluationMetrics::kTest;
  } catch (const Error&) {
    return false;
  }
}

std::string kept_lines(const std::filesystem::path& path, int64_t last_step) {
  std::ifstream stream(path);
  std::string kept;
  for (std::string line; std::getline(stream, line);) {
    if (is_kept(line, last_step)) kept += line + "\n";
  }
  return kept;
}

}  // namespace

MetricsWriter::MetricsWriter(const std::filesystem::path& path, int64_t last_step) : path_(path) {
  write_text(path, std::filesystem::exists(path) ? kept_lines(path, last_step) : "");
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
