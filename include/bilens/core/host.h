#pragma once

#include <cstdint>
#include <string>

namespace bilens {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

/// How far a long job is.
struct ProgressState {
  std::string label, unit, note;  // what is done, what is counted, the latest figures
  int64_t done = 0, total = 0;    // units
  bool finished = false;          // the job has ended, whole or not
};

/// Whom a thread works for, where that is not a person at a terminal: it takes what would go to stderr, and
/// says whether to stop. A program that calls the library derives from it.
class Host {
 public:
  virtual ~Host() = default;
  virtual void log(LogLevel level, const std::string& message) = 0;
  /// At most ten times a second while a job goes on, and once at its end.
  virtual void progress(const ProgressState& state) = 0;
  /// Each line of a run's metrics.jsonl, as soon as the file has it; one JSON object without its line end.
  virtual void metrics(const std::string&) {}
  /// Asked often, from several threads.
  virtual bool stop_requested() = 0;
};

/// Makes a host this thread's own while the scope lives; null: the terminal.
class HostScope {
 public:
  explicit HostScope(Host* host);
  ~HostScope();
  HostScope(const HostScope&) = delete;
  HostScope& operator=(const HostScope&) = delete;

 private:
  Host* before_;
};

/// This thread's host; null: the terminal.
Host* current_host();

}  // namespace bilens
