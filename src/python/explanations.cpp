#include "explanations.h"

#include <ATen/ATen.h>
#include <pybind11/stl/filesystem.h>

#include <algorithm>

#include "bilens/run/explain_model.h"
#include "bilens/run/explain_prompt_run.h"

namespace bilens::python {

namespace {

template <class Number>
at::Tensor column(const std::vector<PromptTerm>& terms, Number ExplanationTerm::*member) {
  std::vector<Number> values;
  for (const auto& term : terms) values.push_back(term.*member);
  return at::tensor(values);
}

/// Every term, by falling |contribution|.
NamedTensors columns_of(const std::vector<PromptTerm>& terms) {
  return {{"layer", column(terms, &PromptTerm::layer)},
          {"index", column(terms, &PromptTerm::index)},
          {"eigenvalue", column(terms, &PromptTerm::eigenvalue)},
          {"projection", column(terms, &PromptTerm::projection)},
          {"contribution", column(terms, &PromptTerm::contribution)}};
}

/// The eigenvectors of the first terms.
at::Tensor vectors_of(const PromptExplanation& explanation, size_t count) {
  std::vector<at::Tensor> vectors;
  for (size_t i = 0; i < count; ++i) vectors.push_back(explanation.terms[i].vector);
  return at::stack(vectors);
}

}  // namespace

void bind_explanations(py::module_& module) {
  // (explanation.json, [(column, values)] of all terms, eigenvectors of those in the file, the page)
  module.def(
      "explain",
      [](const StoredModel& model, const std::string& prompt, const std::optional<std::vector<int64_t>>& ids,
         const std::optional<TokenName>& logit, const std::optional<TokenName>& minus,
         const std::string& surrogate, const std::filesystem::path& tokenizer,
         const std::vector<std::string>& pieces, const std::filesystem::path& out, const std::string& device,
         int64_t threads) {
        return in_library([&] {
          const auto explained =
              explain_model({model, prompt, ids, logit, minus, parse_surrogate(surrogate),
                             "surrogate=\"half\"", tokenizer, pieces, out, parse_device(device), threads});
          const auto& [explanation, record, page] = explained;
          return std::make_tuple(PromptExplanationRecord::record().write(record).dump(),
                                 columns_of(explanation.terms), vectors_of(explanation, record.terms.size()),
                                 page);
        });
      },
      py::arg("model"), py::arg("prompt"), py::arg("ids"), py::arg("logit"), py::arg("minus"),
      py::arg("surrogate"), py::arg("tokenizer"), py::arg("pieces"), py::arg("out"), py::arg("device"),
      py::arg("threads"));
}

}  // namespace bilens::python
