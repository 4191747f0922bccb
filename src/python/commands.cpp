#include "commands.h"

#include "bilens/cli/command_line.h"

namespace bilens::python {

void bind_commands(py::module_& module) {
  // (results, failures, problems, estimate): JSON text, [(model, code, message, problems)], [problem], JSON
  // text
  module.def("run", [](const std::vector<std::string>& arguments) {
    const auto outcome = in_library([&] { return run_command(arguments); });
    py::list failures;
    for (const auto& failure : outcome.failures) {
      failures.append(py::make_tuple(failure.model, static_cast<int>(failure.code), failure.message,
                                     to_python(failure.problems)));
    }
    return py::make_tuple(outcome.results.dump(), failures, to_python(outcome.problems),
                          RecordValue<std::optional<Estimate>>::write(outcome.estimate).dump());
  });
}

}  // namespace bilens::python
