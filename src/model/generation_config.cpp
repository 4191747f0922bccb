#include "bilens/model/generation_config.h"

#include "bilens/core/json.h"

namespace bilens {

std::vector<int64_t> read_end_tokens(const StoredModel& model, const DecoderConfig& config) {
  const auto where = model.where(kGenerationFile);
  const Json& json = model.json(kGenerationFile);
  if (json.is_null()) return config.eos_token_id;
  if (!json.is_object()) throw Error(ExitCode::kBadInput, {where, "an object", describe(json), ""});
  const Json ends = json.value("eos_token_id", Json());
  if (ends.is_null()) return config.eos_token_id;
  std::vector<int64_t> tokens;
  for (const Json& end : ends.is_array() ? ends : Json::array({ends})) {
    if (!end.is_number_integer()) {
      throw Error(ExitCode::kBadInput, {where + ": eos_token_id", "a token id or a list of them",
                                        describe(ends), "Correct the file."});
    }
    if (end >= 0 && end < config.vocab_size) tokens.push_back(end.get<int64_t>());
  }
  return tokens;
}

}  // namespace bilens
