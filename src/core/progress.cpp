#include "bilens/core/progress.h"

#include <algorithm>
#include <cmath>

#include "bilens/core/log.h"
#include "bilens/core/text.h"

namespace bilens {

namespace {

constexpr int kBarWidth = 24;

}  // namespace

Progress::Progress(std::string label, int64_t total, std::string unit, int64_t done)
    : host_(current_host()),
      label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      start_(done),
      done_(done),
      interval_seconds_(host_ != nullptr || stderr_is_terminal() ? 0.1 : 10.0) {}

Progress::~Progress() {
  if (host_ == nullptr) {
    set_status_line("");
  } else {
    auto last = state();
    last.finished = true;
    host_->progress(last);
  }
}

void Progress::advance(int64_t units, const std::string& note) {
  done_ += units;
  if (!note.empty()) note_ = note;
  if (since_shown_.seconds() < interval_seconds_) return;
  if (host_ == nullptr && verbosity() <= Verbosity::kQuiet) return;
  since_shown_ = Stopwatch();
  if (host_ != nullptr) return host_->progress(state());
  show();
}

ProgressState Progress::state() const { return {label_, unit_, note_, done_, total_, false}; }

double Progress::rate() const {
  const double elapsed = since_begin_.seconds();
  return elapsed > 0 ? static_cast<double>(done_ - start_) / elapsed : 0.0;
}

void Progress::show() {
  const double fraction = total_ > 0 ? static_cast<double>(done_) / static_cast<double>(total_) : 1.0;
  std::string line = label_ + " ";
  if (stderr_is_terminal()) {
    const int filled = static_cast<int>(std::lround(std::clamp(fraction, 0.0, 1.0) * kBarWidth));
    line += "[" + std::string(filled, '#') + std::string(kBarWidth - filled, '.') + "] ";
  }
  line += format("%3.0f%%", 100 * fraction) + "  " + format_number(rate()) + " " + unit_ + "/s";
  if (!note_.empty()) line += "  " + note_;
  if (rate() > 0) line += "  " + format_duration(static_cast<double>(total_ - done_) / rate()) + " left";
  if (stderr_is_terminal()) {
    set_status_line(line);
  } else {
    log_info(line);
  }
}

std::string format_duration(double seconds) {
  if (seconds < 60) return format(seconds < 10 ? "%.1f s" : "%.0f s", seconds);
  const auto whole = static_cast<long long>(seconds);
  if (whole < 3600) return format("%lld min %02lld s", whole / 60, whole % 60);
  return format("%lld h %02lld min", whole / 3600, whole / 60 % 60);
}

std::string format_number(double value) {
  if (!std::isfinite(value)) return "-";
  if (std::abs(value) < 100) return format("%.3g", value);
  std::string digits = format("%.0f", std::abs(value));
  for (auto at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(at, ",");
  return (value < 0 ? "-" : "") + digits;
}

std::string format_bytes(double bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  int unit = 0;
  for (; bytes >= 1000 && unit < 4; ++unit) bytes /= 1000;
  return format(unit == 0 || bytes >= 100 ? "%.0f " : "%.1f ", bytes) + units[unit];
}

}  // namespace bilens
