#pragma once

#include <filesystem>
#include <string>

#include "bilens/run/outcome.h"
#include "bilens/study/attack.h"
#include "bilens/tensor/device.h"

namespace bilens {

/// The whole config of `bilens attack`.
struct AttackRunConfig : AttackConfig {
  int64_t format_version = 1;
  DeviceChoice device;
  int64_t threads = 0;

  static const FieldTable<AttackRunConfig>& fields();
};

struct AttackRunOptions {
  std::string model;
  Json config;
  std::string where;          // of the config, in messages
  std::string data;           // SPEC; empty: the run's own
  std::filesystem::path out;  // folder for attack.json and attack.safetensors; empty: none is written
  bool dry_run = false;
};

/// The smallest changes of test images that give another class, proved, and what masks do.
Outcome run_attack(const AttackRunOptions& options);

}  // namespace bilens
