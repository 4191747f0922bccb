#include "call.h"

#include <c10/util/Exception.h>
#include <pybind11/gil_safe_call_once.h>

#include <filesystem>
#include <new>

#include "bilens/run/failure.h"

namespace bilens::python {

namespace {

constexpr auto kBetweenQuestions = std::chrono::milliseconds(50);

bool logs_debug() {
  PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> enabled;
  return enabled
      .call_once_and_store_result(
          [] { return py::module_::import("bilens._host").attr("logger").attr("isEnabledFor"); })
      .get_stored()(10)  // logging.DEBUG
      .cast<bool>();
}

void raise(const Outcome::Failure& failure) {
  const auto error =
      py::module_::import("bilens._errors")
          .attr("error_of")(static_cast<int>(failure.code), failure.message, to_python(failure.problems));
  PyErr_SetObject(py::type::of(error).ptr(), error.ptr());
}

}  // namespace

PythonHost::PythonHost(std::optional<py::function> on_metrics)
    : debugs_(logs_debug()), on_metrics_(std::move(on_metrics)) {}

py::object& PythonHost::shown() {
  if (!host_) host_ = py::module_::import("bilens._host").attr("Host")();
  return *host_;
}

void PythonHost::interrupt(py::error_already_set error) {
  interruption_ = std::move(error);
  stopped_ = true;
}

template <class... Arguments>
void PythonHost::show(const char* method, Arguments&&... arguments) {
  try {
    shown().attr(method)(std::forward<Arguments>(arguments)...);
  } catch (py::error_already_set& error) {
    if (error.matches(PyExc_Exception)) return error.discard_as_unraisable(method);
    interrupt(std::move(error));  // Ctrl-C came while Python ran
  }
}

void PythonHost::log(LogLevel level, const std::string& message) {
  if (level == LogLevel::kDebug && !debugs_) return;
  const py::gil_scoped_acquire gil;
  show("log", static_cast<int>(level), message);
}

void PythonHost::progress(const ProgressState& state) {
  if (state.finished && !host_) return;  // it was over before anything was shown
  const py::gil_scoped_acquire gil;
  show("progress", state.label, state.unit, state.note, state.done, state.total, state.finished);
}

void PythonHost::metrics(const std::string& line) {
  if (!on_metrics_) return;
  const py::gil_scoped_acquire gil;
  const at::AutoGradMode gradients(true);  // as for the code around the call
  try {
    (*on_metrics_)(line);
  } catch (py::error_already_set& error) {
    on_metrics_.reset();
    interrupt(std::move(error));
  }
}

bool PythonHost::stop_requested() {
  if (stopped_ || std::this_thread::get_id() != owner_) return stopped_;
  const auto now = std::chrono::steady_clock::now();
  if (now - asked_ < kBetweenQuestions) return false;
  asked_ = now;
  const py::gil_scoped_acquire gil;
  if (PyErr_CheckSignals() == 0) return false;
  interruption_.emplace();  // takes the exception that the handler raised
  stopped_ = true;
  return true;
}

void PythonHost::raise_if_interrupted() {
  if (interruption_) throw *interruption_;
}

SettingsScope::SettingsScope() : threads_(at::get_num_threads()) {
  auto& context = at::globalContext();
  for (const auto backend : {at::Float32Backend::CUDA, at::Float32Backend::MKLDNN}) {
    const auto before = context.float32Precision(backend, at::Float32Op::MATMUL);
    if (before != at::Float32Precision::TF32 && before != at::Float32Precision::BF16) continue;
    context.setFloat32Precision(backend, at::Float32Op::MATMUL, at::Float32Precision::IEEE);
    rounded_.emplace_back(backend, before);
  }
}

SettingsScope::~SettingsScope() {
  if (at::get_num_threads() != threads_) at::set_num_threads(threads_);
  for (const auto& [backend, before] : rounded_)
    at::globalContext().setFloat32Precision(backend, at::Float32Op::MATMUL, before);
}

py::list to_python(const std::vector<Problem>& problems) {
  py::list list;
  for (const auto& problem : problems)
    list.append(py::make_tuple(problem.where, problem.expected, problem.found, problem.fix));
  return list;
}

void register_errors() {
  py::register_local_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const Error& error) {
      raise(failure_of(error));
    } catch (const c10::Error& error) {
      raise(failure_of(error));
    } catch (const std::filesystem::filesystem_error& error) {
      raise(failure_of(error));
    } catch (const std::bad_alloc& error) {
      raise(failure_of(error));
    }
  });
}

Json parse(const std::string& text) { return Json::parse(text); }

}  // namespace bilens::python
