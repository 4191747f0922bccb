// The only file that includes spdlog: its fmt and LibTorch's do not compile together.
#include "bilens/core/log.h"

#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "bilens/core/host.h"
#include "bilens/core/visible.h"

namespace bilens {

namespace {

std::string status_line;
Verbosity current_verbosity = Verbosity::kNormal;
std::mutex status_mutex;

bool colors_wanted() {
  const char* no_color = std::getenv("NO_COLOR");
  return stderr_is_terminal() && (no_color == nullptr || *no_color == '\0');
}

spdlog::logger& logger() {
  static spdlog::logger instance = [] {
    auto sink = std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>(
        colors_wanted() ? spdlog::color_mode::always : spdlog::color_mode::never);
    spdlog::logger made("bilens", std::move(sink));
    made.set_pattern("%^%v%$");
    made.set_level(spdlog::level::info);
    return made;
  }();
  return instance;
}

void erase_status() {
  if (!status_line.empty()) std::fputs("\r\033[K", stderr);
}

void draw_status() {
  if (status_line.empty()) return;
  std::fputs(status_line.c_str(), stderr);
  std::fflush(stderr);
}

void log_line(spdlog::level::level_enum level, const std::string& prefix, const std::string& message) {
  const std::lock_guard<std::mutex> lock(status_mutex);
  erase_status();
  // As an argument, never as the format: messages hold the user's own braces.
  logger().log(level, "{}{}", prefix, visible(message));
  draw_status();
}

void log_to(LogLevel level, const std::string& message) {
  if (Host* const host = current_host()) return host->log(level, message);
  switch (level) {
    case LogLevel::kDebug: return log_line(spdlog::level::debug, "", message);
    case LogLevel::kInfo: return log_line(spdlog::level::info, "", message);
    case LogLevel::kWarning: return log_line(spdlog::level::warn, "warning: ", message);
    case LogLevel::kError: return log_line(spdlog::level::err, "error: ", message);
  }
}

}  // namespace

void set_verbosity(Verbosity verbosity) {
  current_verbosity = verbosity;
  logger().set_level(verbosity == Verbosity::kErrors    ? spdlog::level::err
                     : verbosity == Verbosity::kQuiet   ? spdlog::level::warn
                     : verbosity == Verbosity::kVerbose ? spdlog::level::debug
                                                        : spdlog::level::info);
}

Verbosity verbosity() { return current_verbosity; }

void log_debug(const std::string& message) { log_to(LogLevel::kDebug, message); }
void log_info(const std::string& message) { log_to(LogLevel::kInfo, message); }
void log_warning(const std::string& message) { log_to(LogLevel::kWarning, message); }
void log_error(const std::string& message) { log_to(LogLevel::kError, message); }

bool stderr_is_terminal() {
  static const bool terminal = isatty(STDERR_FILENO) != 0;
  return terminal;
}

void set_status_line(const std::string& line) {
  const std::lock_guard<std::mutex> lock(status_mutex);
  erase_status();
  status_line = line;
  draw_status();
}

}  // namespace bilens
