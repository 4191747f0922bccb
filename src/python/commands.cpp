#include "commands.h"

#include "bilens/cli/command_line.h"

namespace bilens::python {

void bind_commands(py::module_& module) {
  // (results, failures, problems, estimate): JSON text, [(model, code, message, problems)], [problem], JSON
  // text
  const auto run = [](const std::vector<std::string>& arguments, std::optional<py::function> on_metrics) {
    PythonHost host(std::move(on_metrics));
    const auto outcome = in_library(host, [&] {
      const at::AutoGradMode gradients(true);  // as in the program; its training needs them
      return run_command(arguments);
    });
    py::list failures;
    for (const auto& failure : outcome.failures) {
      failures.append(py::make_tuple(failure.model, static_cast<int>(failure.code), failure.message,
                                     to_python(failure.problems)));
    }
    return py::make_tuple(outcome.results.dump(), failures, to_python(outcome.problems),
                          RecordValue<std::optional<Estimate>>::write(outcome.estimate).dump());
  };
  module.def("run", run, py::arg("arguments"), py::arg("on_metrics"));
}

}  // namespace bilens::python
