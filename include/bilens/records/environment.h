#pragma once

#include "bilens/records/record_file.h"

namespace bilens {

/// env.json: the program and the machine that made a run.
struct Environment {
  static constexpr RecordFormat kFormat = {"bilens-environment", 1};
  static constexpr const char* kFile = "env.json";

  std::string version, compiler, build, libtorch;
  std::optional<std::string> cuda;
  std::string device;
  int64_t threads = 0;
  std::optional<double> processor_quota = {};
  std::optional<std::string> waiting = {};
  std::optional<int64_t> processes = {};

  static const RecordTable<Environment>& record();
};

}  // namespace bilens
