#include "bilens/run/explain_prompt_run.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cinttypes>

#include "bilens/analysis/eigen/eigen_plan.h"
#include "bilens/analysis/tokens/token_cards.h"
#include "bilens/core/files.h"
#include "bilens/core/memory.h"
#include "bilens/core/shell.h"
#include "bilens/core/text.h"
#include "bilens/report/prompt_page.h"
#include "bilens/study/prompt_explanation.h"
#include "bilens/tensor/device.h"
#include "bilens/tensor/product_rate.h"
#include "explanation_result.h"
#include "layers/layer_source.h"
#include "models/language_model.h"
#include "models/model_arguments.h"
#include "models/vocabulary.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kNearest = 4;  // tokens on each side of a term's eigenvector
constexpr size_t kTermsInWords = 8;

/// A token of the command line: a number is an id.
int64_t token_of(const Vocabulary& vocabulary, const std::string& token, const std::string& flag) {
  const bool number =
      !token.empty() && token.size() < 10 && token.find_first_not_of("0123456789") == std::string::npos;
  return vocabulary.id_of(number ? TokenName(int64_t{std::stoll(token)}) : TokenName(token), flag);
}

/// The call with a surrogate in it, as it can be typed.
std::string with_surrogate(const ExplainPromptOptions& options) {
  std::string call = "bilens explain " + shell_word(options.model);
  const auto add = [&](const char* flag, const std::string& value) {
    if (!value.empty()) call += std::string(" ") + flag + " " + shell_word(value);
  };
  add("--prompt", options.prompt), add("--logit", options.logit), add("--minus", options.minus);
  add("--surrogate", "half"), add("--tokenizer", options.tokenizer), add("--out", options.out);
  return call;
}

/// Eigenvectors are of bilinear MLPs alone: for those of a gated model something has to stand that somebody
/// asked for. @throws Error(kUsage, kBadInput)
std::optional<SurrogateKind> choose_surrogate(const ExplainPromptOptions& options,
                                              const LanguageModel& model) {
  const bool half = options.surrogate == "half";
  if (!half && !options.surrogate.empty() && options.surrogate != "none") {
    throw Error(
        ExitCode::kUsage,
        {"--surrogate", "one of \"none\", \"half\"", "\"" + options.surrogate + "\"",
         options.surrogate == "calibrated" ? "Only `bilens decompose` has a text to calibrate on." : ""});
  }
  if (half) return SurrogateKind::kHalf;
  if (model.config.hidden_act == Gate::kNone) return std::nullopt;
  throw Error(ExitCode::kBadInput,
              {model.path().string(), "a model with bilinear MLPs (hidden_act \"linear\")",
               "\"" + gate_name(model.config.hidden_act) + "\"",
               "Explain the bilinear part of each MLP, and what that leaves as a remainder: `" +
                   with_surrogate(options) + "`. `bilens finetune` makes a model bilinear."});
}

int64_t likeliest_next(Decoder& model, const std::vector<int32_t>& prompt) {
  auto cache = model.make_cache(1, static_cast<int64_t>(prompt.size()));
  const auto tokens = at::tensor(std::vector<int64_t>(prompt.begin(), prompt.end())).unsqueeze(0);
  const auto device = model.parameters().front().second.device();
  return model.next_logits(tokens.to(device), cache).argmax(-1).item<int64_t>();
}

/// What is explained, in the vocabulary's words. @param minus below 0: the mean of all logits
PromptExplanationRecord describe(const ExplainPromptOptions& options, const StoredModel& stored,
                                 const Vocabulary& vocabulary, const std::vector<int32_t>& prompt,
                                 int64_t logit, int64_t minus) {
  PromptExplanationRecord about;
  about.model = stored.path().string();
  about.prompt = options.prompt;
  for (const auto token : prompt) about.tokens.push_back(vocabulary.name(token));
  about.token = vocabulary.name(logit);
  if (minus >= 0) about.minus = vocabulary.name(minus);
  return about;
}

/// The tokens nearest to each listed term's eigenvector, on both sides.
void name_terms(const PromptExplanation& explanation, const Vocabulary& vocabulary,
                std::vector<PromptTermRecord>& terms) {
  for (size_t i = 0; i < terms.size(); ++i) {
    const auto v = explanation.terms[i].vector.unsqueeze(0);
    const auto nearest =
        nearest_tokens(vocabulary.embedding.project(v), vocabulary.embedding.norms(), kNearest);
    for (int64_t side = 0; side < 2; ++side) {
      auto& names = terms[i].nearest.emplace_back();
      for (const auto& id : nearest.ids[0][side].unbind(0)) names.push_back(vocabulary.name(id.item<int>()));
    }
  }
}

std::string in_words(const PromptExplanationRecord& explanation) {
  std::string text =
      explanation.surrogate ? "surrogate: " + explanation.surrogate->meaning + "\n" : std::string();
  text += "logit of " + explanation.token + " minus " + explanation.minus.value_or("the mean") +
          format(": %.4f, sum %.4f\n", explanation.logit, explanation.sum) +
          format("embedding %+.4f\n", explanation.embedding) +
          "layer  attention  eigenvectors    linear  remainder\n";
  for (const auto& layer : explanation.layers) {
    text += format("%5" PRId64 " %+10.4f %+13.4f %+9.4f %+10.4f\n", layer.layer, layer.attention,
                   layer.eigenvectors, layer.linear, layer.remainder);
  }
  text +=
      "largest contributions of eigenvectors (layer/index), and the tokens nearest to them on both sides\n";
  for (size_t i = 0; i < std::min(kTermsInWords, explanation.terms.size()); ++i) {
    const auto& term = explanation.terms[i];
    text += format("%5" PRId64 "/%-4" PRId64 " %+9.4f  p %+7.3f  ", term.layer, term.index, term.contribution,
                   term.projection) +
            join(term.nearest[0], " ") + " | " + join(term.nearest[1], " ") + "\n";
  }
  return text + format("all other eigenvectors %+.4f\n", explanation.other_terms);
}

/// Of the forward pass and one dense eigenproblem a layer.
Estimate estimate(const DecoderConfig& model, int64_t tokens, at::Device device) {
  const int64_t d = model.hidden_size, h = model.intermediate_size;
  EigenConfig eigen;
  eigen.k = d, eigen.dtype = at::kDouble, eigen.energy = Energy::kOff;
  const double solving = plan_eigen({1, h, d, d, h, d}, device, eigen).operations;
  const double reading = 2.0 * static_cast<double>(model.parameter_count() * tokens);
  Estimate estimate;
  estimate.memory_bytes =
      peak_memory() + 8 * model.parameter_count() + 7 * 8 * d * d + 8 * 3 * h * d + 4 * model.vocab_size * d;
  estimate.disk_bytes = 1 << 20;
  estimate.seconds =
      static_cast<double>(model.num_hidden_layers) * solving / measure_product_rate(device, at::kDouble) +
      reading / measure_product_rate(device, at::kFloat);
  return estimate;
}

}  // namespace

Outcome run_prompt_explanation(const ExplainPromptOptions& options) {
  if (!options.out.empty()) require_empty_directory(options.out, "Name another folder with --out.");
  const StoredModel stored(find_model(options.model));
  set_threads(options.threads);
  const auto device = choose_device(options.device);
  const auto source = open_language_model(stored);
  LayerSourceConfig read;
  read.surrogate = choose_surrogate(options, source);
  const auto tokenizer = open_tokenizer(source, options.tokenizer);
  const auto vocabulary = read_vocabulary(source, tokenizer, false);
  const auto prompt = tokenizer.encode_prompt(options.prompt);
  const auto count = static_cast<int64_t>(prompt.size());
  if (count > source.config.max_position_embeddings) {
    throw Error(ExitCode::kUsage,
                {"--prompt", "at most " + std::to_string(source.config.max_position_embeddings) + " tokens",
                 std::to_string(count), ""});
  }
  int64_t logit = options.logit.empty() ? -1 : token_of(vocabulary, options.logit, "--logit");
  const int64_t minus = options.minus.empty() ? -1 : token_of(vocabulary, options.minus, "--minus");
  const auto check_minus = [&](const std::string& logit_is) {
    if (minus < 0 || logit != minus) return;
    throw Error(ExitCode::kUsage,
                {"--minus", "another token than " + logit_is, "\"" + vocabulary.name(minus) + "\"", ""});
  };
  check_minus("--logit");
  Outcome outcome;
  if (options.dry_run) {
    outcome.estimate = estimate(source.config, count, device);
    return outcome;
  }
  const at::NoGradGuard no_grad;
  const auto read_layers = load_layers(stored, read);
  std::vector<BilinearLayer> layers;
  for (const auto& layer : read_layers.layers) layers.push_back(layer.load().layer);
  DecoderLoadOptions load;
  load.device = device, load.dtype = at::kFloat;
  auto model = source.load(load);
  if (logit < 0) {
    logit = likeliest_next(model, prompt);
    check_minus("the likeliest next one, which is explained without --logit");
  }
  auto difference = at::zeros({source.config.vocab_size}, at::kDouble);
  difference[logit] += 1;
  if (minus >= 0) {
    difference[minus] -= 1;
  } else {
    difference -= 1.0 / static_cast<double>(source.config.vocab_size);
  }
  const auto explanation = explain_prompt(model, layers, prompt, difference);
  auto about = describe(options, stored, vocabulary, prompt, logit, minus);
  about.surrogate = read_layers.surrogate;
  Explained<PromptExplanationRecord> result{record_of(explanation, about), {}};
  name_terms(explanation, vocabulary, result.explanation->terms);
  outcome.text = in_words(*result.explanation);
  if (!options.out.empty()) {
    const DirectoryLock lock(options.out);
    write_prompt_explanation(options.out, explanation, *result.explanation);
    result.page = write_prompt_page(options.out).string();
    outcome.text += "The same as a page: " + *result.page + "\n";
  }
  outcome.results.push_back(result.record().write(result));
  return outcome;
}

}  // namespace bilens
