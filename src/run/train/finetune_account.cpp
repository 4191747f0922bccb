#include "finetune_account.h"

#include "bilens/core/text.h"
#include "bilens/io/safetensors.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kFewest = 3;  // tokens: of one that is predicted a variation is 0

Json to_json(const TextComparison& c) {
  return {{"tokens", c.tokens},         {"loss", c.loss},           {"teacher_loss", c.teacher_loss},
          {"divergence", c.divergence}, {"agreement", c.agreement}, {"layer_r2", c.layer_r2}};
}

}  // namespace

Json to_json(const Calibration& calibration) {
  Json layers = Json::array();
  for (const auto& layer : calibration.layers) {
    layers.push_back({{"unit_r2", layer.unit_r2},
                      {"degenerate_units", layer.degenerate_units},
                      {"error_scaled", layer.error_scaled},
                      {"error_refitted", layer.error_refitted},
                      {"ridge", layer.ridge},
                      {"error", layer.error},
                      {"sweeps", layer.sweeps}});
  }
  return {{"tokens", calibration.tokens},
          {"held_out_tokens", calibration.held_out_tokens},
          {"flops", calibration.flops},
          {"layers", layers}};
}

Json compare_with_teacher(const TokenStream& part, Decoder& model, Decoder& teacher, int64_t context,
                          const fs::path& file) {
  if (part.size() < kFewest) return nullptr;
  const auto seen = compare_text(model, teacher, part, context);
  if (!file.empty()) {
    write_safetensors(file,
                      {{"tokens", seen.document_tokens},
                       {"losses", seen.document_losses},
                       {"teacher_losses", seen.document_teacher_losses}},
                      {{"format", "bilens-documents"}, {"format_version", "1"}});
  }
  return to_json(seen);
}

Outcome outcome_of_account(const Json& account, const fs::path& folder) {
  Outcome outcome;
  Json result = {{"model", folder.string()}};
  for (const char* part : {"untrained", "validation", "test"}) {
    const Json seen = account.value(part, Json());
    result[part] = seen;
    if (!seen.is_object()) continue;
    const auto figure = [&](const char* name) { return seen.at(name).get<double>(); };
    outcome.text += format("%s loss %.4f nats/token (teacher %.4f), KL %.4f, top-1 agreement %.1f%%\n",
                           std::string(part) == "untrained" ? "validation, untrained" : part, figure("loss"),
                           figure("teacher_loss"), figure("divergence"), 100 * figure("agreement"));
  }
  outcome.results.push_back(result);
  outcome.text += folder.string() + "\n";
  return outcome;
}

}  // namespace bilens
