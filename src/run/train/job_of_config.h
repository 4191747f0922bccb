#pragma once

#include "training_job.h"

namespace bilens {

/// What a job knows from its config alone. C is a RunConfig with data and a table of its keys.
template <class C>
class JobOfConfig : public TrainingJob {
 public:
  const RunConfig& settings() const override { return config_; }
  Json config() const override { return C::fields().dump(config_); }

  Json kept_settings(bool known_data) const override { return kept(config_, known_data); }
  Json kept_settings(const Json& earlier, const std::string& where, bool known_data) const override {
    return kept(C::fields().parse_or_throw(earlier, where, ExitCode::kBadInput), known_data);
  }

  Json shared_settings() const override {
    C shared = config_;
    shared.data.path.clear();
    if constexpr (requires { shared.data.tokenizer; }) shared.data.tokenizer.clear();
    if constexpr (requires { shared.teacher; }) shared.teacher.clear();
    return C::fields().dump_without(shared, &C::device, &C::threads, &C::rank_timeout);
  }

 protected:
  /// @throws Error(kUsage)
  JobOfConfig(const Json& config, const std::string& where)
      : config_(C::fields().parse_or_throw(config, where, ExitCode::kUsage)) {}

  C config_;

 private:
  static Json kept(C config, bool known_data) {
    if (known_data) config.data.path.clear();
    return C::fields().dump_without(config, &C::checkpoint, &C::device, &C::threads, &C::rank_timeout);
  }
};

}  // namespace bilens
