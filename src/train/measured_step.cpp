#include "bilens/train/measured_step.h"

#include <ATen/ATen.h>

#include <chrono>

namespace bilens {

double measure_step(TrainingTask& task, const TextTrainConfig& config) {
  Optimizer optimizer(task.parameters(), config.optimizer());
  using Clock = std::chrono::steady_clock;
  std::chrono::duration<double> gradients{}, update{};
  for (int64_t step = 0; step < 2; ++step) {
    optimizer.zero_grad();
    const auto begin = Clock::now();
    const auto measured = task.compute_gradients(step).cpu();  // waits for a GPU
    const auto between = Clock::now();
    const auto norm = optimizer.clip_gradients(config.clip_norm);
    optimizer.step(config.learning_rate, at::zeros({1}, norm.options()), step);
    norm.item<float>();
    gradients = between - begin;
    update = Clock::now() - between;
  }
  const auto parts = static_cast<double>(config.batch_size) / static_cast<double>(config.sequences_at_once());
  return parts * gradients.count() + update.count();
}

}  // namespace bilens
