#include "bilens/run/batch.h"

#include <c10/util/Exception.h>

#include <new>

#include "bilens/core/log.h"
#include "bilens/core/stop.h"

namespace bilens {

void for_each_model(const std::vector<std::filesystem::path>& models, Outcome& outcome,
                    const std::function<void(const std::filesystem::path&)>& work) {
  const auto fail = [&](const std::filesystem::path& model, ExitCode code, const std::string& message) {
    outcome.failures.push_back({model.string(), code, message});
    if (models.size() > 1) log_error(model.string() + ": " + message);
  };
  for (const auto& model : models) {
    if (stop_requested()) throw Stopped{};
    try {
      work(model);
    } catch (const Error& error) {
      fail(model, error.code(), error.what());
    } catch (const c10::OutOfMemoryError&) {
      fail(model, ExitCode::kExhausted, "the device's memory is exhausted");
    } catch (const std::bad_alloc&) {
      fail(model, ExitCode::kExhausted, "memory is exhausted");
    } catch (const c10::Error& error) {
      const std::string text = error.what_without_backtrace();
      const bool memory = text.find("allocate memory") != std::string::npos;  // DefaultCPUAllocator
      fail(model, memory ? ExitCode::kExhausted : ExitCode::kFailure, text);
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
