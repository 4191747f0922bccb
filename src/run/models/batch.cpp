#include "batch.h"

#include "bilens/core/log.h"
#include "bilens/core/stop.h"
#include "bilens/run/failure.h"

namespace bilens {

void for_each_model(const std::vector<std::filesystem::path>& models, Outcome& outcome,
                    const std::function<void(const std::filesystem::path&)>& work) {
  for (const auto& model : models) {
    if (stop_requested()) throw Stopped{};
    try {
      work(model);
    } catch (const std::exception& error) {
      outcome.failures.push_back(failure_of(error, model.string()));
      const auto& message = outcome.failures.back().message;
      const bool named = message.starts_with(model.string());
      if (models.size() > 1) log_error(named ? message : model.string() + ": " + message);
    }
  }
  if (models.size() < 2) return;
  const size_t failed = outcome.failures.size();
  outcome.text +=
      std::to_string(models.size() - failed) + " of " + std::to_string(models.size()) + " models done";
  outcome.text += failed == 0 ? "\n" : ", failed:\n";
  for (const auto& failure : outcome.failures) outcome.text += "  " + failure.model + "\n";
}

}  // namespace bilens
