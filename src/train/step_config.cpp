#include "bilens/train/step_config.h"

namespace bilens {

void StepConfig::check(const std::string& where, int64_t examples, const std::string& what,
                       int64_t total_steps, std::vector<Problem>& problems) const {
  if (batch_size > examples) {
    problems.push_back({key_path(where, "batch_size"),
                        "at most the number of training " + what + " (" + std::to_string(examples) + ")",
                        std::to_string(batch_size), "Use a smaller batch."});
  } else if (warmup_steps >= total_steps) {
    problems.push_back({key_path(where, "warmup_steps"),
                        "less than the run's " + std::to_string(total_steps) + " steps",
                        std::to_string(warmup_steps), "Shorten the warm-up or train longer."});
  }
}

}  // namespace bilens
