#include "decompose_estimate.h"

#include <algorithm>

#include "bilens/analysis/eigen/eigen_plan.h"
#include "bilens/analysis/factors/method.h"
#include "bilens/core/memory.h"
#include "bilens/core/text.h"
#include "bilens/study/corpus_study.h"
#include "bilens/tensor/device.h"
#include "bilens/tensor/product_rate.h"
#include "decomposer.h"
#include "studies.h"
#include "weighting.h"

namespace bilens {

namespace {

constexpr int64_t kLibraryWorkspace = int64_t{60} << 20;  // of the matrix library, seen on 2 threads

}  // namespace

void add_estimate(const LayerSource& source, const DecomposeRunConfig& config, const std::string& data_spec,
                  Outcome& outcome) {
  const auto device = choose_device(config.device);
  const auto data = open_data(source, config, data_spec);
  int64_t memory = 0, kept = 0;
  double seconds = 0;
  Estimate estimate;
  if (outcome.estimate) estimate = *outcome.estimate;
  for (const auto& lazy : source.layers) {
    if (!config.wants_layer(lazy.number)) continue;
    const auto layer = lazy.load();
    const auto problem = eigen_problem(layer, choose_directions(config, source, layer), config.form());
    const auto eigen = config.eigen(problem.dimension());
    const auto sizes = eigen_sizes(problem, eigen.k);
    const int64_t result = sizes.n * sizes.k * sizes.d * static_cast<int64_t>(c10::elementSize(config.dtype));
    const std::string where = source.model.path().string() + ", layer " + std::to_string(layer.number) + ": ";
    estimate.disk_bytes += result + sizes.n * sizes.k * 40;
    if (const auto& method = *config.method; method.cost) {
      const auto cost = method.cost(problem, sizes, device, eigen, config);
      memory = std::max(memory, cost.bytes + result);
      seconds += cost.seconds.value_or(0);
      if (!cost.seconds) estimate.seconds.reset();
      outcome.text += where + method.name + ": " + cost.words + ", " +
                      format_bytes(static_cast<double>(cost.bytes)) + " beside the weights\n";
      continue;
    }
    if (config.is_weighted()) {  // readings and patterns
      kept += 3 * result;
      estimate.disk_bytes += result + sizes.n * sizes.d * 8;
      memory = std::max(memory, weighting_bytes(static_cast<int64_t>(source.layers.size()), sizes.d) + kept);
    }
    const auto plan = plan_eigen(sizes, device, eigen);
    memory = std::max(memory, plan.bytes + result);
    for (const auto* study : studies()) {
      if (!is_wanted(*study, config.analyses)) continue;
      const auto cost = study->cost(sizes, source, config, data);
      memory = std::max(memory, cost.bytes + result);
      kept += cost.kept;
      seconds += cost.seconds;
    }
    seconds += plan.operations / measure_product_rate(device, config.dtype);
    outcome.text += where + plan.describe() + "\n";
  }
  if (data.corpus)  // beside a running model
    memory = std::max(memory, corpus_study_bytes() + kept + 4 * data.corpus->model.config.parameter_count());
  estimate.memory_bytes = std::max(estimate.memory_bytes, peak_memory() + kLibraryWorkspace + memory);
  if (!device.is_cpu())
    estimate.device_memory_bytes = std::max(estimate.device_memory_bytes.value_or(0), memory);
  if (estimate.seconds) *estimate.seconds += seconds;
  outcome.estimate = estimate;
}

}  // namespace bilens
