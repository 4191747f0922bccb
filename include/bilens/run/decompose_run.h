#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bilens/run/outcome.h"

namespace bilens {

struct DecomposeRunOptions {
  std::vector<std::string> models;
  Json config;  // as the user wrote it
  std::string where;
  std::string minus;      // a model, or "previous": of each but the first the one before it; "": not given
  std::string data, out;  // "": not given
  std::optional<int64_t> seed;  // of random directions, in place of the config's
  bool resume = false, dry_run = false;
  bool overwrite = false;  // what is finished or begun is replaced (src/run/decompose/replacement.h)
};

/// JSON Schema of the config.
Json decompose_config_schema();

/// Decomposes every layer of every model: the files of docs/formats.md, with the studies where there is data.
Outcome run_decomposition(const DecomposeRunOptions& options);

}  // namespace bilens
