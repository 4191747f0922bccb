#include "conversion_data.h"

#include <cmath>

#include "bilens/records/conversion_account.h"
#include "numbers.h"

namespace bilens::report {

namespace {

Json samples(const std::optional<SampleTexts>& texts) {
  if (!texts) return nullptr;
  return {{"prompt", texts->prompt},
          {"teacher", texts->teacher},
          {"untrained", texts->untrained.value_or("")},
          {"finished", texts->finished}};
}

Json costs_of(const std::optional<ConversionCosts>& costs) {
  if (!costs) return nullptr;
  Json layers = Json::array();
  for (const auto& cost : costs->layers) {
    layers.push_back({{"layer", cost.layer},
                      {"alone", short_number(cost.alone)},
                      {"estimate", short_number(cost.estimate)},
                      {"together", short_number(cost.together)}});
  }
  return {{"teacher_loss", short_number(costs->teacher_loss)}, {"layers", layers}};
}

Json calibration(const std::optional<CalibrationAccount>& account) {
  if (!account) return nullptr;
  Json layers = Json::array();
  for (const auto& layer : account->layers) {
    layers.push_back({{"layer", layer.layer ? Json(*layer.layer) : Json()},
                      {"unit_r2", short_number(layer.unit_r2)},
                      {"product_r2", short_number(layer.product_r2.value_or(NAN))},
                      {"degenerate_units", layer.degenerate_units},
                      {"error_lines", short_number(layer.error_lines.value_or(NAN))},
                      {"error_scaled", short_number(layer.error_scaled)},
                      {"error_refitted", short_number(layer.error_refitted)},
                      {"ridge", short_number(layer.ridge)},
                      {"error", short_number(layer.error)},
                      {"sweeps", layer.sweeps}});
  }
  return {{"tokens", account->tokens},
          {"held_out_tokens", account->held_out_tokens},
          {"flops", short_number(account->flops)},
          {"costs", costs_of(account->costs)},
          {"layers", layers}};
}

}  // namespace

Json seen_beside_teacher(const std::optional<SeenBesideTeacher>& seen) {
  if (!seen) return nullptr;
  return {{"tokens", seen->tokens},
          {"layer_r2", short_numbers(seen->layer_r2)},
          {"loss", short_number(seen->loss)},
          {"teacher_loss", short_number(seen->teacher_loss)},
          {"divergence", short_number(seen->divergence)},
          {"agreement", short_number(seen->agreement)}};
}

Json conversion_data(const std::filesystem::path& file) {
  const auto account = read_record_file<ConversionAccount>(file);
  const auto parameters = [](const std::optional<int64_t>& count) { return count ? Json(*count) : Json(); };
  return {{"teacher", account.teacher},
          {"teacher_sha256", account.teacher_sha256},
          {"converted", account.converted},
          {"parameters", parameters(account.parameters)},
          {"teacher_parameters", parameters(account.teacher_parameters)},
          {"trained_tokens", account.trained_tokens},
          {"training_flops", short_number(account.training_flops)},
          {"epochs", short_number(account.epochs)},
          {"untrained", seen_beside_teacher(account.untrained)},
          {"validation", seen_beside_teacher(account.validation)},
          {"test", seen_beside_teacher(account.test)},
          {"samples", samples(account.samples)},
          {"calibration", calibration(account.calibration)}};
}

}  // namespace bilens::report
