#include "bilens/run/check_run.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cinttypes>

#include "bilens/core/files.h"
#include "bilens/core/log.h"
#include "bilens/core/memory.h"
#include "bilens/core/text.h"
#include "bilens/core/utf8.h"
#include "bilens/core/version.h"
#include "bilens/model/family.h"
#include "bilens/study/parity.h"
#include "models/data_spec.h"
#include "models/language_model.h"
#include "models/model_arguments.h"
#include "models/transformers_reference.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr size_t kMostText = size_t{1} << 20;  // bytes that are tokenized
constexpr const char* kSame = "same as transformers";

void require_no_contradiction(const CheckRunOptions& options) {
  if (options.reference.empty()) return;
  std::vector<std::string> given;
  if (!options.python.empty()) given.push_back("--python");
  if (!options.data.empty()) given.push_back("--data");
  if (options.context) given.push_back("--context");
  if (given.empty()) return;
  throw Error(ExitCode::kUsage,
              {"--reference", "a file in the place of a Python, with tokens and text of its own",
               join(given) + " beside it", "Leave one of them out."});
}

/// @throws Error(kBadInput) for what transformers does not load
LanguageModel open_checked_model(const fs::path& path) {
  const StoredModel stored(find_model(path.string()));
  const bool foreign = is_foreign_folder(stored.path());
  if (!stored.is_directory() || foreign) {
    throw Error(ExitCode::kBadInput,
                {stored.path().string(), "a model directory, which transformers loads",
                 foreign ? "another program's files" : "a file", "Make one of it with `bilens convert`."});
  }
  if (!is_language_model(stored)) {
    throw Error(ExitCode::kBadInput, {stored.path().string(), "a language model", "an image classifier",
                                      "transformers does not have it."});
  }
  return open_language_model(stored);
}

/// The text that is to be tokenized, of a long one the beginning; "" where none is named.
std::string read_sample(const std::string& spec) {
  if (spec.empty()) return "";
  const auto config = parse_text_spec(spec);
  if (config.dataset != TextSet::kText)
    throw Error(ExitCode::kUsage, {"--data", "text:FILE", "\"" + spec + "\"", "Tokens are no text."});
  auto text = read_utf8(config.path);
  if (text.size() <= kMostText) return text;
  size_t end = kMostText;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // inside a character
  text.resize(end);
  return text;
}

/// The folder where transformers looks for the tokenizer that is named; "": the model's.
fs::path folder_of(const fs::path& tokenizer) {
  if (fs::is_directory(tokenizer)) return tokenizer;
  const auto name = tokenizer.filename();
  if (name == "tokenizer.json" || name == "tokenizer.model")
    return tokenizer.has_parent_path() ? tokenizer.parent_path() : fs::path(".");
  return {};
}

ModelReference find_reference(const LanguageModel& model, const std::string& sha256,
                              const CheckRunOptions& options, const std::string& python) {
  if (!options.reference.empty())
    return read_model_reference(options.reference, sha256, reference_sizes(model));
  return make_reference(
      model, sha256,
      {python, read_sample(options.data), folder_of(options.tokenizer), options.context, options.threads});
}

/// In float32, and in the checkpoint's dtype where the reference has that.
void check_numbers(const LanguageModel& model, const ModelReference& reference, at::Device device,
                   ModelCheck& check) {
  const auto add = [&](at::ScalarType dtype, bool half) {
    DecoderLoadOptions load;
    load.device = device;
    load.dtype = dtype;
    auto decoder = model.load(load);
    auto checked = check_parity(decoder, reference, half);
    checked.dtype = dtype_name(dtype);
    const auto failure = first_failure(checked);
    if (!failure.empty()) check.failures.push_back(failure);
    check.dtypes.push_back(std::move(checked));
  };
  const auto held = held_dtype(model.weights(), model.config);
  const auto overflow = reference.stored ? reference.stored->not_finite() : "";
  if (reference.stored && overflow.empty()) add(held, true);
  add(at::kFloat, false);
  if (!overflow.empty()) {
    check.notes.push_back("transformers computes NaN or infinity in " + reference.dtype + " (" + overflow +
                          "): only float32 was compared.");
  }
  if (held != at::kFloat && !reference.stored) {
    check.notes.push_back("The reference has no numbers in " + dtype_name(held) +
                          ", in which the weights are stored and used: only float32 was compared.");
  }
  if (reference.stored && overflow.empty() && held == at::kFloat)
    check.notes.push_back("bilens computes in float32 where weights are stored in " + reference.dtype + ".");
}

/// Says that the class does otherwise than the file that it reads. @param here_as_file whether bilens follows
/// the file
std::string replaces_parts(const std::string& name, bool here_as_file) {
  return name +
         " of transformers replaces parts of tokenizer.json: the package tokenizers, reading the file " +
         "alone, gives other tokens. bilens takes those of " + (here_as_file ? "the file." : "the class.");
}

void check_text(const LanguageModel& model, const ModelReference& reference, const fs::path& tokenizer,
                ModelCheck& check) {
  if (!reference.text_ids.defined() || !reference.text.defined()) {
    const auto why = reference.tokenizer_problem.value_or("the reference has none");
    check.notes.push_back("No text was tokenized: " + why + (why.ends_with(".") ? "" : "."));
    return;
  }
  const auto bytes = reference.text.contiguous();
  const std::string text(reinterpret_cast<const char*>(bytes.data_ptr<uint8_t>()),
                         static_cast<size_t>(bytes.numel()));
  std::vector<int32_t> ids;
  try {
    ids = open_tokenizer(model, tokenizer).encode_prompt(text);
  } catch (const Error& error) {
    if (!tokenizer.empty()) throw;
    check.notes.push_back(std::string("The tokenizer is not read here, so no text was: ") + error.what());
    return;
  }
  auto& checked = check.tokenizer.emplace(check_tokenizer(ids, reference));
  if (checked.file_same_as_reference == false)
    check.notes.push_back(replaces_parts(checked.reference_class, checked.same_as_file.value_or(false)));
  if (!checked.within) {
    check.failures.push_back(format("tokenizer: %" PRId64 " tokens here, %" PRId64
                                    " in transformers (%s); they "
                                    "differ from token %" PRId64 " on.",
                                    checked.ids, checked.reference_ids, checked.reference_class.c_str(),
                                    checked.first_difference.value_or(0)));
  }
}

/// What the tokens that were compared do not reach.
void note_limits(const DecoderConfig& config, ModelCheck& check) {
  const auto windows = config.windows;
  const auto widest = windows.empty() ? 0 : *std::max_element(windows.begin(), windows.end());
  if (widest >= check.length) {
    check.notes.push_back(format("Windows of %" PRId64 " tokens are wider than the %" PRId64
                                 " tokens of a row: --context %" PRId64 " goes beyond them.",
                                 widest, check.length,
                                 std::min(widest + 64, config.max_position_embeddings)));
  }
}

std::string table_of(const CheckedDtype& checked) {
  const bool half = checked.reference_dtype != "float32";
  std::string text = checked.dtype + " here, " + checked.reference_dtype + " in transformers\n";
  text += half ? "                difference   error here  transformers'    tolerance\n"
               : "                difference        error     tolerance\n";
  for (const auto& q : checked.quantities) {
    text += format("  %-12s %12.2e %12.2e", q.name.c_str(), q.difference, q.error);
    if (q.reference_error) text += format("   %12.2e", *q.reference_error);
    text += format(" %12.2e%s\n", q.tolerance, q.within ? "" : "  differs");
  }
  return text + format("  mean loss %.6f here, %.6f in transformers\n", checked.loss, checked.reference_loss);
}

std::string in_words(const ModelCheck& check) {
  std::string text = format("transformers %s, %s, torch %s: %" PRId64 " rows of %" PRId64 " tokens\n",
                            check.transformers.c_str(), check.model_class.c_str(), check.torch.c_str(),
                            check.rows, check.length);
  for (const auto& checked : check.dtypes) text += table_of(checked);
  if (const auto& tokenizer = check.tokenizer) {
    text += format("tokenizer: %" PRId64 " tokens, %s\n", tokenizer->ids,
                   !tokenizer->within            ? "which differ"
                   : tokenizer->first_difference ? "those of tokenizer.json"
                                                 : ("those of " + tokenizer->reference_class).c_str());
  }
  for (const auto& note : check.notes) text += "note: " + note + "\n";
  for (const auto& failure : check.failures) text += "differs: " + failure + "\n";
  return text + (check.passed ? std::string(kSame) + " " + check.transformers + ": " : "not the same: ") +
         check.model + "\n";
}

void estimate_check(const LanguageModel& model, Outcome& outcome) {
  auto& estimate = outcome.estimate.emplace();
  // Here and in transformers, one behind the other.
  estimate.memory_bytes = peak_memory() + 4 * model.config.parameter_count();
  estimate.seconds.reset();
}

}  // namespace

Outcome run_check(const CheckRunOptions& options) {
  Outcome outcome;
  require_no_contradiction(options);
  const auto device = choose_device(options.device);
  set_threads(options.threads);
  const auto model = open_checked_model(options.model);
  if (options.context && (*options.context < 2 || *options.context > model.config.max_position_embeddings)) {
    throw Error(ExitCode::kUsage,
                {"--context",
                 "2 to the model's " + std::to_string(model.config.max_position_embeddings) + " positions",
                 std::to_string(*options.context), ""});
  }
  if (options.dry_run) {
    if (!options.reference.empty())
      read_model_reference(options.reference, model.weights().sha256(), reference_sizes(model));
    read_sample(options.data);
    estimate_check(model, outcome);
    return outcome;
  }
  const auto python = options.python.empty() ? default_python() : options.python;
  ModelCheck check;
  check.model = model.path().string();
  check.model_sha256 = model.weights().sha256();
  check.version = version();
  check.device = describe_device(device);
  const auto reference = find_reference(model, check.model_sha256, options, python);
  check.transformers = reference.transformers;
  check.torch = reference.torch;
  check.model_class = reference.model_class;
  check.reference = options.reference.empty() ? python : options.reference.string();
  check.rows = reference.tokens.size(0);
  check.length = reference.tokens.size(1);
  check_numbers(model, reference, device, check);
  check_text(model, reference, options.tokenizer, check);
  note_limits(model.config, check);
  check.passed = check.failures.empty();
  outcome.text = in_words(check);
  outcome.results.push_back(ModelCheck::record().write(check));
  if (!check.passed)
    outcome.failures.push_back({"", ExitCode::kFailure,
                                check.model + " is not the same in transformers " + check.transformers +
                                    ": " + check.failures.front()});
  if (!options.out.empty()) {
    write_record_file(options.out / ModelCheck::kFile, check);
    outcome.text += (options.out / ModelCheck::kFile).string() + "\n";
  }
  return outcome;
}

}  // namespace bilens
