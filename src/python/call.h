#pragma once

#include <torch/csrc/utils/pybind.h>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "bilens/core/error.h"
#include "bilens/core/host.h"
#include "bilens/core/json.h"
#include "bilens/core/memory.h"
#include "bilens/core/stop.h"

namespace bilens::python {

namespace py = pybind11;

/// What a call of the library goes through to Python: log lines and progress to bilens._host.Host, and Ctrl-C
/// from Python's own handler, which the main thread runs.
class PythonHost : public Host {
 public:
  /// @param on_metrics called with each line of metrics.jsonl until it raises, which stops the work; none:
  /// nobody. Needs the GIL.
  explicit PythonHost(std::optional<py::function> on_metrics = {});

  void log(LogLevel level, const std::string& message) override;
  void progress(const ProgressState& state) override;
  void metrics(const std::string& line) override;
  bool stop_requested() override;

  /// Raises what Python's handler of signals or on_metrics raised, if one did. Needs the GIL.
  void raise_if_interrupted();

 private:
  py::object& shown();
  /// Calls a method of bilens._host.Host. What goes wrong there is shown, and the work goes on, unless it is
  /// an interruption.
  template <class... Arguments>
  void show(const char* method, Arguments&&... arguments);
  void interrupt(py::error_already_set error);

  const std::thread::id owner_ = std::this_thread::get_id();
  const bool debugs_;  // whether Python's logger takes debug lines when the call begins
  std::chrono::steady_clock::time_point asked_{};
  std::optional<py::error_already_set> interruption_;
  std::atomic<bool> stopped_ = false;
  std::optional<py::object> host_;          // made when there is something to show
  std::optional<py::function> on_metrics_;  // until it has raised something
};

/// Takes products in full precision, and restores what a call may set for the whole process: that, and
/// threads.
class SettingsScope {
 public:
  SettingsScope();
  ~SettingsScope();
  SettingsScope(const SettingsScope&) = delete;
  SettingsScope& operator=(const SettingsScope&) = delete;

 private:
  int threads_;
  std::vector<std::pair<at::Float32Backend, at::Float32Precision>> rounded_;
};

/// Does work of the library without the GIL and without gradients. Needs the GIL.
/// @return what the work returns, which must be no Python object
/// @throws what it throws, as translated by register_errors; what interrupted it, such as KeyboardInterrupt,
/// in the place of Stopped and of a result
template <class Work>
auto in_library(PythonHost& host, const Work& work) {
  const auto run = [&] {
    const SettingsScope settings;
    const KeptMemoryScope memory;
    const c10::InferenceMode no_inference(false);  // its tensors could not be written to by other threads
    const at::NoGradGuard no_grad;
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    const HostScope scope(&host);
    const py::gil_scoped_release release;
    return work();
  };
  try {
    if constexpr (std::is_void_v<decltype(work())>) {
      run();
      host.raise_if_interrupted();
    } else {
      auto result = run();
      host.raise_if_interrupted();
      return result;
    }
  } catch (const Stopped&) {
    host.raise_if_interrupted();
    throw std::runtime_error("The work was stopped.");
  }
}

template <class Work>
auto in_library(const Work& work) {
  PythonHost host;
  return in_library(host, work);
}

/// Translates the library's exceptions to those of bilens._errors.
void register_errors();

/// [(where, expected, found, fix)]
py::list to_python(const std::vector<Problem>& problems);

/// JSON text as a value, for what Python writes itself.
Json parse(const std::string& text);

}  // namespace bilens::python
