#include "batch.h"

#include "bilens/core/log.h"
#include "bilens/core/stop.h"
#include "bilens/run/failure.h"

namespace bilens {

void for_each_model(const std::vector<std::filesystem::path>& models, Outcome& outcome,
                    const std::function<bool(const std::filesystem::path&, Turn)>& work) {
  const auto is_done = [&](const std::filesystem::path& model, Turn turn) {
    if (stop_requested()) throw Stopped{};
    try {
      return work(model, turn);
    } catch (const std::exception& error) {
      outcome.failures.push_back(failure_of(error, model.string()));
      const auto& message = outcome.failures.back().message;
      const bool named = message.starts_with(model.string());
      if (models.size() > 1) log_error(named ? message : model.string() + ": " + message);
    }
    return true;
  };
  std::vector<std::filesystem::path> put_off;
  for (const auto& model : models)
    if (!is_done(model, models.size() == 1 ? Turn::kLast : Turn::kMayPutOff)) put_off.push_back(model);
  for (const auto& model : put_off) is_done(model, Turn::kLast);
  if (models.size() < 2) return;
  const size_t failed = outcome.failures.size();
  outcome.text +=
      std::to_string(models.size() - failed) + " of " + std::to_string(models.size()) + " models done";
  outcome.text += failed == 0 ? "\n" : ", failed:\n";
  for (const auto& failure : outcome.failures) outcome.text += "  " + failure.model + "\n";
}

}  // namespace bilens
