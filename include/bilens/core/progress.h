#pragma once

#include <cstdint>
#include <string>

#include "bilens/core/host.h"
#include "bilens/core/stopwatch.h"

namespace bilens {

/// Shows how far a long job is, with its rate and the time left: a bar on a terminal, else a plain line every
/// ten seconds. Says nothing under --quiet. A thread with a host (host.h) shows it there.
class Progress {
 public:
  /// `done` of `total` units are already there (a resumed job); the rate counts only what is done from here
  /// on.
  Progress(std::string label, int64_t total, std::string unit, int64_t done = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `units` more are done; `note` (loss, accuracy) replaces the previous one unless it is empty.
  void advance(int64_t units, const std::string& note = "");

  /// Units a second since the start.
  double rate() const;

 private:
  void show();
  ProgressState state() const;

  Host* host_;
  std::string label_, unit_, note_;
  int64_t total_, start_, done_;
  Stopwatch since_begin_, since_shown_;
  double interval_seconds_;
};

/// "1.2 s", "3 min 05 s", "2 h 10 min"
std::string format_duration(double seconds);

/// A figure with a thousands' comma where it has no decimals worth showing: "123,456", "12.3", "0.045".
std::string format_number(double value);

/// "2.2 GB", "512 kB" (decimal units).
std::string format_bytes(double bytes);

}  // namespace bilens
