#include "decompose_estimate.h"

#include <algorithm>

#include "bilens/analysis/eigen/certificate.h"
#include "bilens/analysis/eigen/eigen_plan.h"
#include "bilens/analysis/factors/method.h"
#include "bilens/core/memory.h"
#include "bilens/core/text.h"
#include "bilens/tensor/device.h"
#include "bilens/tensor/product_rate.h"
#include "decompose_data.h"
#include "decomposer.h"

namespace bilens {

namespace {

constexpr int64_t kLibraryWorkspace = int64_t{60} << 20;  // of the matrix library, seen on 2 threads

/// Bytes of the studies: inputs in float64 and half as much again for hidden states; terms, their sums and
/// errors.
int64_t study_bytes(const std::optional<ImageDataConfig>& data, int64_t d, int64_t k) {
  if (!data) return 0;
  const auto read = load_images(*data, 0);
  const int64_t images = std::max(read.test.size(), read.validation.size());
  return images * 8 * (d + d / 2 + 5 * k);
}

}  // namespace

void add_estimate(const LayerSource& source, const DecomposeRunConfig& config, const std::string& data_spec,
                  Outcome& outcome) {
  const auto device = choose_device(config.device);
  const auto dtype = parse_dtype(config.dtype);
  const auto data = find_images(source, config, data_spec);
  const auto corpus = find_corpus(source, config, data_spec);
  int64_t memory = 0, disk = 0, text = 0;
  double seconds = 0;
  bool seconds_known = outcome.estimate.is_null() || !outcome.estimate["seconds"].is_null();
  for (const auto& lazy : source.layers) {
    if (!config.wants_layer(lazy.number)) continue;
    const auto layer = lazy.load();
    const auto problem = eigen_problem(layer, choose_directions(config, source, layer), config);
    const auto eigen = config.eigen(problem.dimension());
    const auto sizes = eigen_sizes(problem, eigen.k);
    const int64_t result = sizes.n * sizes.k * sizes.d * static_cast<int64_t>(c10::elementSize(dtype));
    const std::string where = source.model.path().string() + ", layer " + std::to_string(layer.number) + ": ";
    disk += result + sizes.n * sizes.k * 40;
    if (const auto& method = method_named(config.method, "method"); method.cost) {
      const auto cost = method.cost(problem, sizes, device, eigen, config);
      memory = std::max(memory, cost.bytes + result);
      seconds += cost.seconds.value_or(0);
      seconds_known = seconds_known && cost.seconds;
      outcome.text += where + config.method + ": " + cost.words + ", " +
                      format_bytes(static_cast<double>(cost.bytes)) + " beside the weights\n";
      continue;
    }
    const auto plan = plan_eigen(sizes, device, eigen);
    memory = std::max({memory, plan.bytes + result, study_bytes(data, sizes.d, sizes.k) + result});
    if (config.wants(Analysis::kTokens)) {
      memory = std::max({memory, token_study_bytes(sizes.n, sizes.k, source.vocabulary->size()) + result,
                         certifier_bytes(sizes.h, sizes.d) + result});
      const auto h = static_cast<double>(sizes.h), d = static_cast<double>(sizes.d);
      if (config.tokens.interactions > 0)  // of bounds on them: Q formed, eigenvalues of what is left
        seconds += static_cast<double>(sizes.n) * (2 * h * d * d + 4 * d * d * d) /
                   measure_product_rate(device, at::kDouble);
    }
    text += corpus_layer_bytes(sizes.n, sizes.k, config.corpus);
    seconds += plan.operations / measure_product_rate(device, dtype);
    outcome.text += where + plan.describe() + "\n";
  }
  if (corpus)
    memory = std::max(memory, corpus_study_bytes() + text + 4 * corpus->model.config.parameter_count());
  if (outcome.estimate.is_null())
    outcome.estimate = {{"memory_bytes", 0}, {"disk_bytes", 0}, {"seconds", 0.0}};
  const auto raise = [&](const char* key, int64_t value) {
    outcome.estimate[key] = std::max(outcome.estimate.value(key, int64_t{0}), value);
  };
  raise("memory_bytes", peak_memory() + kLibraryWorkspace + memory);
  if (!device.is_cpu()) raise("device_memory_bytes", memory);
  outcome.estimate["disk_bytes"] = outcome.estimate["disk_bytes"].get<int64_t>() + disk;
  outcome.estimate["seconds"] =
      seconds_known ? Json(outcome.estimate["seconds"].get<double>() + seconds) : Json(nullptr);
}

}  // namespace bilens
