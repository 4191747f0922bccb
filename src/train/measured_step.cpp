#include "bilens/train/measured_step.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "bilens/core/stopwatch.h"

namespace bilens {

double measure_step(TrainingTask& task, const TextTrainConfig& config) {
  Optimizer optimizer(task.parameters(), config.optimizer());
  double gradients = 0, update = 0;
  for (int64_t step = 0; step < 2; ++step) {
    optimizer.zero_grad();
    gradients = update = 0;
    Stopwatch watch;
    const auto measured = task.compute_gradients(step).cpu();  // waits for a GPU
    watch.lap(gradients);
    const auto norm = optimizer.clip_gradients(config.clip_norm);
    optimizer.step(config.learning_rate, at::zeros({1}, norm.options()), step);
    norm.item<float>();
    watch.lap(update);
  }
  const auto parts = static_cast<double>(config.batch_size) / static_cast<double>(config.sequences_at_once());
  return parts * gradients + update;
}

double measure_reading(const TokenStream& part, int64_t context,
                       const std::function<void(const TokenStream&)>& read) {
  // So many tokens that products are as wide as those of the whole, or each thread has its share.
  const int64_t enough = std::max<int64_t>(2048, 1024 * at::get_num_threads());
  const auto some = first_tokens(part, std::max(context, enough) + 1);
  if (some.size() < 2) return 0.0;
  double taken = 0;
  for (int64_t time = 0; time < 2; ++time) {
    const Stopwatch watch;
    read(some);
    taken = watch.seconds();
  }
  return taken / static_cast<double>(some.size());
}

int64_t count_validations(const TextTrainConfig& config, int64_t steps) {
  const int64_t every = config.validate_every;
  return every > 0 ? (steps + every - 1) / every : std::max<int64_t>(config.epochs, 1);
}

}  // namespace bilens
