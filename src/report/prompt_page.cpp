#include "bilens/report/prompt_page.h"

#include <ATen/ATen.h>

#include "bilens/core/files.h"
#include "bilens/core/version.h"
#include "bilens/io/safetensors.h"
#include "bilens/tensor/shape.h"
#include "checked_json.h"
#include "encode.h"
#include "page.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

using report::CheckedJson;

/// The tokens nearest to an eigenvector, on both sides.
Json nearest(const CheckedJson& term) {
  const Json strings = {{"type", "array"}, {"items", {{"type", "string"}}}};
  term.require("nearest", {{"type", "array"}, {"items", strings}});
  const Json& sides = term.json().at("nearest");
  if (sides.size() != 2) throw report::unfit(term.where() + ".nearest", "tokens on two sides");
  return sides;
}

Json terms_data(const CheckedJson& explanation, const SafetensorsFile& tensors) {
  Json terms = Json::array();
  for (const auto& term : explanation.objects("terms")) {
    const std::string name = "term_" + std::to_string(terms.size());
    const auto vector = tensors.tensor(name);
    const std::string where = tensors.path().string() + ": " + name;
    require_shape(vector, {-1}, where);
    require_finite(vector, where);
    terms.push_back({{"layer", term.size("layer")},
                     {"index", term.size("index")},
                     {"eigenvalue", term.number("eigenvalue")},
                     {"projection", term.number("projection")},
                     {"contribution", term.number("contribution")},
                     {"nearest", nearest(term)},
                     {"vector", report::quantised(vector)},
                     {"entries", vector.numel()}});
  }
  return terms;
}

Json layers_data(const CheckedJson& explanation) {
  Json layers = Json::array();
  for (const auto& layer : explanation.objects("layers")) {
    layers.push_back({{"layer", layer.size("layer")},
                      {"attention", layer.number("attention")},
                      {"eigenvectors", layer.number("eigenvectors")},
                      {"linear", layer.number("linear")},
                      {"remainder", layer.number("remainder")}});
  }
  return layers;
}

/// What stands for the MLPs of a gated model, in words; null for a bilinear one.
Json surrogate(const CheckedJson& explanation) {
  if (!explanation.has("surrogate")) return nullptr;
  const auto found = explanation.object("surrogate");
  return {{"meaning", found.text("meaning")}, {"hidden_act", found.text_or_empty("hidden_act")}};
}

}  // namespace

fs::path write_prompt_page(const fs::path& directory) {
  const fs::path file = directory / "explanation.json", out = directory / "explanation.html";
  const Json json = read_json(file, ExitCode::kBadInput);
  const CheckedJson explanation(json, file.string());
  explanation.require_format("bilens-prompt-explanation", 1);
  const SafetensorsFile tensors(directory / "explanation.safetensors");
  const Json data = {{"version", version()},
                     {"model", explanation.text_or_empty("model")},
                     {"surrogate", surrogate(explanation)},
                     {"prompt", explanation.text("prompt")},
                     {"tokens", explanation.texts("tokens")},
                     {"token", explanation.text("token")},
                     {"minus", explanation.has("minus") ? Json(explanation.text("minus")) : Json()},
                     {"logit", explanation.number("logit")},
                     {"sum", explanation.number("sum")},
                     {"embedding", explanation.number("embedding")},
                     {"rms", explanation.number("rms")},
                     {"layers", layers_data(explanation)},
                     {"terms", terms_data(explanation, tensors)},
                     {"other", explanation.number("other_terms")}};
  write_text(out, report::render_page("explanation", report::kPrompt, report::page_json(data)));
  return out;
}

}  // namespace bilens
