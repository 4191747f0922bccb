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

/// Shows the script's lines "3/11 what" as progress.
class ShownSteps {
 public:
  void take(const std::string& line) {
    int64_t done = 0, total = 0;
    const char* const end = line.data() + line.size();
    const auto slash = std::from_chars(line.data(), end, done);
    if (slash.ec != std::errc() || slash.ptr == end || *slash.ptr != '/') return;
    const auto space = std::from_chars(slash.ptr + 1, end, total);
    if (space.ec != std::errc() || space.ptr == end || done < done_) return;
    if (!progress_) progress_.emplace("transformers", total, "steps");
    progress_->advance(done - done_, space.ptr + 1);
    done_ = done;
  }

 private:
  std::optional<Progress> progress_;
  int64_t done_ = 0;
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
  return read_model_reference(folder.path() / "reference.safetensors", sha256, reference_sizes(model));
}

}  // namespace bilens
