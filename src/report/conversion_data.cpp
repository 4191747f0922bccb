#include "conversion_data.h"

#include "checked_json.h"

namespace bilens::report {

namespace {

Json samples(const CheckedJson& account) {
  if (!account.has("samples")) return nullptr;
  const auto texts = account.object("samples");
  Json result = Json::object();
  for (const char* key : {"prompt", "teacher", "untrained", "finished"})
    result[key] = texts.text_or_empty(key);
  return result;
}

Json size_if_given(const CheckedJson& account, const std::string& key) {
  return account.has(key) ? Json(account.size(key)) : Json();
}

}  // namespace

Json seen_beside_teacher(const CheckedJson& account, const std::string& part) {
  if (!account.has(part)) return nullptr;
  const auto figures = account.object(part);
  Json result = {{"tokens", figures.size("tokens")},
                 {"layer_r2", short_numbers(figures.numbers("layer_r2"))}};
  for (const char* key : {"loss", "teacher_loss", "divergence", "agreement"})
    result[key] = short_number(figures.number(key));
  return result;
}

Json conversion_data(const std::filesystem::path& file) {
  const Json json = read_json(file, ExitCode::kBadInput);
  const CheckedJson account(json, file.string());
  account.require_format("bilens-finetune", 1);
  return {{"teacher", account.text("teacher")},
          {"teacher_sha256", account.text_or_empty("teacher_sha256")},
          {"converted", account.flag("converted")},
          {"parameters", size_if_given(account, "parameters")},
          {"teacher_parameters", size_if_given(account, "teacher_parameters")},
          {"trained_tokens", account.size("trained_tokens")},
          {"epochs", short_number(account.number("epochs"))},
          {"untrained", seen_beside_teacher(account, "untrained")},
          {"validation", seen_beside_teacher(account, "validation")},
          {"test", seen_beside_teacher(account, "test")},
          {"samples", samples(account)},
          {"calibrated", account.has("calibration")}};
}

}  // namespace bilens::report
