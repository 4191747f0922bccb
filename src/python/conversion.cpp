#include "conversion.h"

#include <pybind11/stl/filesystem.h>

#include "bilens/run/model_logits.h"
#include "bilens/run/train_run.h"

namespace bilens::python {

namespace {

/// The files of `bilens finetune`, into a folder.
void convert(const StoredModel& model, const std::string& config, const std::filesystem::path& out,
             bool resume, std::optional<py::function> on_metrics) {
  TrainRunOptions options;
  options.config = parse(config);
  options.out = out;
  options.resume = resume;
  options.teacher = model;
  PythonHost host(std::move(on_metrics));
  in_library(host, [&] {
    const at::AutoGradMode gradients(true);
    run_finetuning(options);
  });
}

/// float32 [vocab_size]
at::Tensor logits(const StoredModel& model, const std::vector<int64_t>& ids) {
  return in_library([&] { return model_logits(model, ids); });
}

}  // namespace

void bind_conversion(py::module_& module) {
  module.def("convert", &convert, py::arg("model"), py::arg("config"), py::arg("out"), py::arg("resume"),
             py::arg("on_metrics"));
  module.def("logits", &logits, py::arg("model"), py::arg("ids"));
}

}  // namespace bilens::python
