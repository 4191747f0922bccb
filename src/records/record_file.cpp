#include "bilens/records/record_file.h"

#include "bilens/core/files.h"

namespace bilens {

namespace {
constexpr const char* kRemedy = "Write the file again.";
}  // namespace

bool names_format(const Json& object, const RecordFormat& format) {
  return object.is_object() && object.value("format", Json()) == Json(format.name);
}

void require_format(const Json& object, const RecordFormat& format, const std::string& where) {
  const auto found = [&](const char* key) { return object.is_object() ? object.value(key, Json()) : Json(); };
  const Json name = found("format"), version = found("format_version");
  if (name == Json(format.name) && version == Json(format.version)) return;
  const auto words = [](const Json& value) { return value.is_null() ? "none" : value.dump(); };
  throw Error(
      ExitCode::kBadInput,
      {where, std::string("format ") + format.name + ", version " + std::to_string(format.version),
       object.is_object() ? "format " + words(name) + ", version " + words(version) : describe(object),
       "It was written by another bilens: use that one, or write the file again."});
}

void throw_unreadable(std::vector<Problem> problems) {
  for (auto& problem : problems)
    if (problem.fix.empty()) problem.fix = kRemedy;
  throw Error(ExitCode::kBadInput, std::move(problems));
}

Json format_metadata(const RecordFormat& format) {
  return {{"format", format.name}, {"format_version", std::to_string(format.version)}};
}

void write_record_text(const std::filesystem::path& file, const Json& object) {
  write_text(file, format_json(object));
}

}  // namespace bilens
