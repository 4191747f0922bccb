#include "bilens/report/prompt_page.h"

#include <ATen/ATen.h>

#include "bilens/core/files.h"
#include "bilens/core/version.h"
#include "bilens/io/safetensors.h"
#include "bilens/records/prompt_explanation.h"
#include "bilens/tensor/shape.h"
#include "encode.h"
#include "page.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

/// @param dimensions takes the width of the first vector, which all have
Json term_data(const PromptTermRecord& term, const std::string& where, const SafetensorsFile& tensors,
               const std::string& name, Dimensions& dimensions) {
  if (term.nearest.size() != 2) {
    throw Error(ExitCode::kBadInput, {where + ".nearest", "tokens on two sides",
                                      std::to_string(term.nearest.size()), "Write the file again."});
  }
  PromptVector found;
  PromptVector::tensors().read(tensors, name, found, dimensions);
  require_finite(found.vector, tensors.path().string() + ": " + name);
  auto data = PromptTermRecord::record().write(term);
  data["vector"] = report::quantised(found.vector);
  data["entries"] = found.vector.numel();
  return data;
}

Json terms_data(const PromptExplanationRecord& explanation, const std::string& where,
                const SafetensorsFile& tensors) {
  Json terms = Json::array();
  Dimensions dimensions;
  for (const auto& term : explanation.terms) {
    const auto number = static_cast<int64_t>(terms.size());
    terms.push_back(term_data(term, where + ": terms[" + std::to_string(number) + "]", tensors,
                              PromptVector::name(number), dimensions));
  }
  return terms;
}

/// What stands for the MLPs of a gated model, in words; null for a bilinear one.
Json surrogate_data(const PromptExplanationRecord& explanation) {
  if (!explanation.surrogate) return nullptr;
  return {{"meaning", explanation.surrogate->meaning}, {"hidden_act", explanation.surrogate->hidden_act}};
}

}  // namespace

fs::path write_prompt_page(const fs::path& directory) {
  const fs::path file = directory / PromptExplanationRecord::kFile, out = directory / "explanation.html";
  const auto explanation = read_record_file<PromptExplanationRecord>(file);
  const SafetensorsFile tensors(directory / PromptExplanationRecord::kTensorFile);
  const Json data = {{"version", version()},
                     {"model", explanation.model},
                     {"surrogate", surrogate_data(explanation)},
                     {"prompt", explanation.prompt},
                     {"tokens", explanation.tokens},
                     {"token", explanation.token},
                     {"minus", explanation.minus ? Json(*explanation.minus) : Json()},
                     {"logit", explanation.logit},
                     {"sum", explanation.sum},
                     {"embedding", explanation.embedding},
                     {"rms", explanation.rms},
                     {"soft_cap", explanation.soft_cap ? Json(*explanation.soft_cap) : Json()},
                     {"layers", RecordValue<std::vector<PromptLayer>>::write(explanation.layers)},
                     {"terms", terms_data(explanation, file.string(), tensors)},
                     {"other", explanation.other_terms}};
  write_text(out, report::render_page("explanation", report::kPrompt, report::page_json(data)));
  return out;
}

}  // namespace bilens
