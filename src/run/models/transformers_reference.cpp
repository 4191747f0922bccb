#include "transformers_reference.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <charconv>

#include "bilens/core/child_process.h"
#include "bilens/core/files.h"
#include "bilens/core/progress.h"
#include "bilens/tensor/device.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr int kNoPackage = 69, kNoModel = 65;  // exit codes of the script
constexpr const char* kElsewhere =
    "make the numbers elsewhere with scripts/make_reference.py and give --reference FILE.";

/// A folder that goes with its owner.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "bilens-check-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr)
      throw system_error(name, "create a temporary folder", ExitCode::kFailure);
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// Shows the script's lines "3/11 what" as progress, and keeps the last of others.
class ShownSteps {
 public:
  void take(const std::string& line) {
    if (!is_step(line) && line.find_first_not_of(" \r") != std::string::npos) stranger_ = line;
  }

  /// What was printed last that is no step; "" where nothing was.
  const std::string& stranger() const { return stranger_; }

 private:
  bool is_step(const std::string& line) {
    int64_t done = 0, total = 0;
    const char* const end = line.data() + line.size();
    const auto slash = std::from_chars(line.data(), end, done);
    if (slash.ec != std::errc() || slash.ptr == end || *slash.ptr != '/') return false;
    const auto space = std::from_chars(slash.ptr + 1, end, total);
    if (space.ec != std::errc() || space.ptr == end || done < done_) return false;
    if (!progress_) progress_.emplace("transformers", total, "steps");
    progress_->advance(done - done_, space.ptr + 1);
    done_ = done;
    return true;
  }

  std::optional<Progress> progress_;
  int64_t done_ = 0;
  std::string stranger_;
};

/// The last lines of a message, without what surrounds them.
std::string last_words(const std::string& text) {
  constexpr size_t kEnough = 1000;
  const auto end = text.find_last_not_of(" \n");
  if (end == std::string::npos) return "no word";
  const std::string whole = text.substr(0, end + 1);
  if (whole.size() <= kEnough) return whole;
  const auto line = whole.find('\n', whole.size() - kEnough);
  return "... " + whole.substr(line == std::string::npos ? whole.size() - kEnough : line + 1);
}

/// @throws Error unless the script has done its work
void require_success(const ChildEnd& end, const std::string& python) {
  if (end.code == 0 && end.signal == 0) return;
  const auto words = last_words(end.errors);
  if (end.code == kNoPackage) {
    throw Error(ExitCode::kFailure,
                {python, "a Python with transformers", words,
                 "Install it: `" + python +
                     " -m pip install transformers`; name another Python with --python; or " + kElsewhere});
  }
  if (end.code == kNoModel) {
    throw Error(ExitCode::kBadInput, {python, "a model that transformers computes", words, ""});
  }
  const std::string ended = end.signal != 0 ? std::string("ended by signal ") + strsignal(end.signal)
                                            : "exit code " + std::to_string(end.code);
  throw Error(
      ExitCode::kFailure,
      {python, "reference values of transformers", ended + ": " + words,
       (end.signal == SIGKILL ? "A lack of memory ends programs so; a model takes 4 bytes a weight. " : "") +
           std::string("Mend that Python, name another with --python, or ") + kElsewhere});
}

/// Says that a program ended well, but did not write what the script writes.
Error no_reference(const std::string& python, const std::string& found, const std::string& printed) {
  return Error(ExitCode::kFailure,
               {python, "a Python that runs a script, which writes the reference values of transformers",
                found + (printed.empty() ? "" : ", and it printed: " + last_words(printed)),
                std::string("Name a Python that has transformers with --python, or ") + kElsewhere});
}

/// The file that the script has written.
ModelReference read_written(const fs::path& file, const LanguageModel& model, const std::string& sha256,
                            const std::string& python, const std::string& printed) {
  if (!fs::is_regular_file(file)) throw no_reference(python, "exit code 0 without a file", printed);
  try {
    return read_model_reference(file, sha256, reference_sizes(model));
  } catch (const Error& error) {
    if (error.code() != ExitCode::kBadInput) throw;
    auto problem = error.problems().front();
    problem.fix.clear();
    auto words = problem.message();
    const auto at = words.find(file.string());  // which is gone when this is read
    if (at != std::string::npos) words.replace(at, file.string().size(), file.filename().string());
    throw no_reference(python, "a file that cannot be used (" + words + ")", printed);
  }
}

std::vector<std::string> words_of(const LanguageModel& model, const ReferenceRequest& request,
                                  const fs::path& folder) {
  const auto script = folder / "make_reference.py";
  write_text(script, std::string(kReferenceScript));
  std::vector<std::string> words = {request.python,
                                    script.string(),
                                    fs::absolute(model.path()).string(),
                                    (folder / "reference.safetensors").string(),
                                    "--dtype",
                                    dtype_name(stored_dtype(model.weights(), model.config))};
  const auto add = [&](const char* flag, const std::string& value) {
    words.insert(words.end(), {flag, value});
  };
  if (!request.text.empty()) {
    write_text(folder / "text.txt", request.text);
    add("--text", (folder / "text.txt").string());
  }
  if (!request.tokenizer.empty()) add("--tokenizer", fs::absolute(request.tokenizer).string());
  if (request.length) add("--tokens", std::to_string(*request.length));
  if (request.threads > 0) add("--threads", std::to_string(request.threads));
  return words;
}

}  // namespace

std::string default_python() {
  const char* const environment = getenv("VIRTUAL_ENV");
  if (environment == nullptr || *environment == '\0') return "python3";
  return (fs::path(environment) / "bin" / "python").string();
}

ReferenceSizes reference_sizes(const LanguageModel& model) {
  return {model.config.num_hidden_layers, model.config.hidden_size, model.config.vocab_size};
}

ModelReference make_reference(const LanguageModel& model, const std::string& sha256,
                              const ReferenceRequest& request) {
  const TemporaryFolder folder;
  ShownSteps steps;
  const auto words = words_of(model, request, folder.path());
  const auto end = run_child(words, [&](const std::string& line) { steps.take(line); });
  require_success(end, request.python);
  const auto printed = end.errors.empty() ? steps.stranger() : end.errors;
  return read_written(folder.path() / "reference.safetensors", model, sha256, request.python, printed);
}

}  // namespace bilens
