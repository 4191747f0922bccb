#include "conversion.h"

#include "bilens/core/text.h"
#include "number_words.h"

namespace bilens {

namespace {

constexpr const char* kRemedy =
    "Restore the file, or remove it: then nothing says that the model was converted.";

}  // namespace

std::optional<ConversionRecord> read_conversion(const StoredModel& model) {
  if (!model.is_directory()) return std::nullopt;
  const Json& json = model.json(ConversionRecord::kFile);
  if (json.is_null()) return std::nullopt;
  const auto file = model.where(ConversionRecord::kFile);
  require_format(json, ConversionRecord::kFormat, file);
  std::vector<Problem> problems;
  auto conversion = ConversionRecord::record().read(json, file, problems);
  for (auto& problem : problems) problem.fix = kRemedy;
  if (!problems.empty()) throw_unreadable(std::move(problems));
  return conversion;
}

std::string conversion_in_words(const ConversionRecord& conversion) {
  const std::string words =
      "the converted model of " + (conversion.teacher.empty() ? "another" : conversion.teacher);
  const auto& seen = conversion.test ? conversion.test : conversion.validation;
  if (!seen) return words;
  std::string layers;
  for (const double r2 : seen->layer_r2) layers += " " + number_in_words(r2, 3);
  return words +
         format(": KL to the original %.4f, top-1 agreement %.1f%%, R² behind its layers", seen->divergence,
                100 * seen->agreement) +
         layers;
}

}  // namespace bilens
