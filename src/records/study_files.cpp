#include "study_files.h"

#include "bilens/records/image_record.h"
#include "bilens/records/token_record.h"

namespace bilens {

namespace {

constexpr RecordFormat kEarlier = {"bilens-study", 1};
constexpr const char* kTokens = "tokens";

}  // namespace

Json read_study_file(const std::filesystem::path& directory, const RecordFormat& format, bool of_tokens) {
  const auto file = directory / kStudyFile;
  if (!std::filesystem::exists(file)) return nullptr;
  const Json json = read_json(file, ExitCode::kBadInput);
  if (names_format(json, kEarlier)) {
    require_format(json, kEarlier, file.string());
    const auto tokens = json.find(kTokens);
    const bool has_tokens = tokens != json.end() && !tokens->is_null();
    if (has_tokens != of_tokens) return nullptr;
    return of_tokens ? *tokens : json;
  }
  if (names_format(json, of_tokens ? ImageStudy::kFormat : TokenStudy::kFormat)) return nullptr;
  require_format(json, format, file.string());
  return json;
}

}  // namespace bilens
