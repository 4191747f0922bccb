#include "study_files.h"

#include <ATen/ATen.h>

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

std::string layer_prefix(int64_t layer) { return "layer_" + std::to_string(layer) + "."; }

void require_between(const at::Tensor& numbers, int64_t least, int64_t count, const std::string& where,
                     const std::string& expected) {
  if (numbers.numel() == 0 ||
      (numbers.min().item<int64_t>() >= least && numbers.max().item<int64_t>() < count))
    return;
  throw Error(ExitCode::kBadInput, {where, expected, "others", "Write the file again."});
}

}  // namespace bilens
