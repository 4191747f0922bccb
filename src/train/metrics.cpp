#include "bilens/train/metrics.h"

#include "bilens/core/files.h"

namespace bilens {

namespace {

/// Whole lines only: a killed run may have left half a line at the end.
std::string kept_lines(const std::filesystem::path& path, int64_t last_step) {
  std::ifstream stream(path);
  std::string kept;
  for (std::string line; std::getline(stream, line);) {
    const Json record = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!record.is_object()) continue;
    const Json step = record.value("step", Json());
    if (!step.is_number_integer() || step > last_step || record.value("split", Json()) == "test") continue;
    kept += line + "\n";
  }
  return kept;
}

}  // namespace

MetricsWriter::MetricsWriter(const std::filesystem::path& path, int64_t last_step) : path_(path) {
  write_text(path, std::filesystem::exists(path) ? kept_lines(path, last_step) : "");
  stream_.open(path, std::ios::app);
  if (!stream_) throw system_error(path.string(), "append to the file", ExitCode::kFailure);
}

void MetricsWriter::write(const Json& record) {
  stream_ << record.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n' << std::flush;
  if (!stream_) throw system_error(path_.string(), "append to the file", ExitCode::kFailure);
}

}  // namespace bilens
