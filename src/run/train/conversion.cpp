#include "conversion.h"

#include <algorithm>

#include "bilens/core/files.h"
#include "bilens/core/text.h"
#include "number_words.h"

namespace bilens {

namespace {

constexpr const char* kFormat = "bilens-conversion";
constexpr const char* kRemedy =
    "Restore the file, or remove it: then nothing says that the model was converted.";

/// Whether a part of the data says what conversion_in_words() needs, or nothing.
bool is_readable(const Json& seen) {
  if (seen.is_null()) return true;
  const auto number = [](const Json& value) { return value.is_number(); };
  return seen.is_object() && number(seen.value("divergence", Json())) &&
         number(seen.value("agreement", Json())) && seen.contains("layer_r2") &&
         seen.at("layer_r2").is_array() &&
         std::all_of(seen.at("layer_r2").begin(), seen.at("layer_r2").end(),
                     [&](const Json& r2) { return r2.is_null() || number(r2); });
}

}  // namespace

Json conversion_of(const Json& account) {
  Json conversion = {{"format", kFormat}, {"format_version", 1}};
  for (const char* key : {"teacher", "teacher_sha256", "validation", "test"})
    conversion[key] = account.at(key);
  return conversion;
}

Json read_conversion(const StoredModel& model) {
  if (!model.is_directory()) return nullptr;
  const Json& conversion = model.json(kConversionFile);
  if (conversion.is_null()) return nullptr;
  const auto file = model.where(kConversionFile);
  const Json format = conversion.is_object() ? conversion.value("format", Json()) : Json();
  if (format != kFormat || conversion.value("format_version", Json()) != 1) {
    throw Error(ExitCode::kBadInput,
                {file, std::string(kFormat) + ", format_version 1", format.dump(), kRemedy});
  }
  for (const char* part : {"validation", "test"}) {
    if (!is_readable(conversion.value(part, Json())))
      throw Error(ExitCode::kBadInput,
                  {file + ": " + part, "divergence, agreement and layer_r2", "others", kRemedy});
  }
  return conversion;
}

std::string conversion_in_words(const Json& conversion) {
  const Json teacher = conversion.value("teacher", Json());
  const std::string words =
      "the converted model of " + (teacher.is_string() ? teacher.get<std::string>() : "another");
  const Json test = conversion.value("test", Json()),
             seen = test.is_object() ? test : conversion.value("validation", Json());
  if (!seen.is_object()) return words;
  std::string layers;
  for (const Json& r2 : seen.at("layer_r2")) layers += " " + number_in_words(r2, 3);
  return words +
         format(": KL to the original %.4f, top-1 agreement %.1f%%, R² behind its layers",
                seen.at("divergence").get<double>(), 100 * seen.at("agreement").get<double>()) +
         layers;
}

}  // namespace bilens
