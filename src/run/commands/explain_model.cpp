#include "bilens/run/explain_model.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "bilens/analysis/eigen/eigen_plan.h"
#include "bilens/analysis/tokens/token_cards.h"
#include "bilens/core/files.h"
#include "bilens/core/locks.h"
#include "bilens/core/log.h"
#include "bilens/core/memory.h"
#include "bilens/report/prompt_page.h"
#include "bilens/tensor/product_rate.h"
#include "layers/layer_source.h"
#include "models/language_model.h"
#include "models/model_arguments.h"
#include "models/vocabulary.h"

namespace bilens {

namespace {

constexpr int64_t kNearest = 4;  // tokens on each side of a term's eigenvector

/// What is asked, after all checks that need no forward pass.
struct PromptQuestion {
  LanguageModel source;
  LayerSourceConfig read;
  Vocabulary vocabulary;
  std::vector<int32_t> prompt;
  int64_t logit = -1;  // below 0: the likeliest next token
  int64_t minus = -1;  // below 0: the mean of all logits
  at::Device device;
};

/// Eigenvectors are of bilinear MLPs alone: for those of a gated model something has to stand that somebody
/// asked for. @throws Error(kBadInput)
std::optional<SurrogateKind> choose_surrogate(const ExplainModelOptions& options,
                                              const LanguageModel& model) {
  const bool half = options.surrogate == SurrogateKind::kHalf;
  const bool bilinear = model.config.is_bilinear();
  if (half && bilinear) log_warning(model.path().string() + " is bilinear: no surrogate stands for its MLPs");
  if (bilinear) return std::nullopt;
  if (half) return SurrogateKind::kHalf;
  throw Error(ExitCode::kBadInput,
              {model.path().string(), "a model with bilinear MLPs (hidden_act \"linear\")",
               "\"" + gate_name(model.config.hidden_act) + "\"" +
                   (model.config.layer_acts.empty() ? "" : " in some layers"),
               "Explain the bilinear part of each MLP, and what that leaves as a remainder: `" +
                   options.with_surrogate + "`. `bilens finetune` makes a model bilinear."});
}

/// A text needs a tokenizer, ids need none.
std::optional<Tokenizer> tokenizer_for(const ExplainModelOptions& options, const LanguageModel& model) {
  return options.ids ? find_tokenizer(model, options.tokenizer) : open_tokenizer(model, options.tokenizer);
}

/// @throws Error(kUsage) for a prompt that the model cannot read
std::vector<int32_t> tokens_of(const ExplainModelOptions& options, const DecoderConfig& model,
                               const std::optional<Tokenizer>& tokenizer) {
  std::vector<int32_t> tokens;
  if (!options.ids) {
    tokens = tokenizer->encode_prompt(options.prompt);
  } else {
    for (const auto id : *options.ids) {
      if (id < 0 || id >= model.vocab_size) {
        throw Error(ExitCode::kUsage, {"--prompt", "tokens from 0 to " + std::to_string(model.vocab_size - 1),
                                       std::to_string(id), ""});
      }
      tokens.push_back(static_cast<int32_t>(id));
    }
  }
  const auto count = static_cast<int64_t>(tokens.size());
  if (count == 0) throw Error(ExitCode::kUsage, {"--prompt", "at least one token", "none", ""});
  if (count > model.max_position_embeddings) {
    throw Error(ExitCode::kUsage,
                {"--prompt", "at most " + std::to_string(model.max_position_embeddings) + " tokens",
                 std::to_string(count), ""});
  }
  return tokens;
}

void require_two_tokens(const PromptQuestion& question, const std::string& logit_is) {
  if (question.minus < 0 || question.logit != question.minus) return;
  throw Error(ExitCode::kUsage, {"--minus", "another token than " + logit_is,
                                 "\"" + question.vocabulary.name(question.minus) + "\"", ""});
}

PromptQuestion open_question(const ExplainModelOptions& options) {
  if (!options.out.empty()) require_empty_directory(options.out, "Name another folder with --out.");
  const auto stored =
      options.model.in_memory() ? options.model : StoredModel(find_model(options.model.path().string()));
  set_threads(options.threads);
  const auto device = choose_device(options.device);
  const auto source = open_language_model(stored);
  LayerSourceConfig read;
  read.surrogate = choose_surrogate(options, source);
  const auto tokenizer = tokenizer_for(options, source);
  auto vocabulary = read_vocabulary(source, tokenizer, false);
  vocabulary.name_by(options.pieces);
  auto prompt = tokens_of(options, source.config, tokenizer);
  PromptQuestion question{source, read, std::move(vocabulary), std::move(prompt), -1, -1, device};
  if (options.logit) question.logit = question.vocabulary.id_of(*options.logit, "--logit");
  if (options.minus) question.minus = question.vocabulary.id_of(*options.minus, "--minus");
  require_two_tokens(question, "--logit");
  return question;
}

int64_t likeliest_next(Decoder& model, const std::vector<int32_t>& prompt) {
  auto cache = model.make_cache(1, static_cast<int64_t>(prompt.size()));
  const auto tokens = at::tensor(std::vector<int64_t>(prompt.begin(), prompt.end())).unsqueeze(0);
  const auto device = model.parameters().front().second.device();
  return model.next_logits(tokens.to(device), cache).argmax(-1).item<int64_t>();
}

/// d of the logit difference d·logits.
at::Tensor difference_of(const PromptQuestion& question) {
  const int64_t size = question.vocabulary.size();
  auto difference = at::zeros({size}, at::kDouble);
  difference[question.logit] += 1;
  if (question.minus >= 0) {
    difference[question.minus] -= 1;
  } else {
    difference -= 1.0 / static_cast<double>(size);
  }
  return difference;
}

/// What is explained, in the vocabulary's words.
PromptExplanationRecord describe_question(const ExplainModelOptions& options,
                                          const PromptQuestion& question) {
  const auto& vocabulary = question.vocabulary;
  PromptExplanationRecord about;
  about.model = question.source.path().string();
  for (const auto token : question.prompt) about.tokens.push_back(vocabulary.name(token));
  about.prompt = options.prompt.empty() ? join(about.tokens, " ") : options.prompt;
  about.token = vocabulary.name(question.logit);
  if (question.minus >= 0) about.minus = vocabulary.name(question.minus);
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

}  // namespace

ExplainedModel explain_model(const ExplainModelOptions& options) {
  auto question = open_question(options);
  const at::NoGradGuard no_grad;
  const auto read_layers = load_layers(question.source.stored, question.read);
  std::vector<BilinearLayer> layers;
  for (const auto& layer : read_layers.layers) layers.push_back(layer.load().layer);
  DecoderLoadOptions load;
  load.device = question.device, load.dtype = at::kFloat;
  auto model = question.source.load(load);
  if (question.logit < 0) {
    question.logit = likeliest_next(model, question.prompt);
    require_two_tokens(question, "the likeliest next one, which is explained without --logit");
  }
  ExplainedModel explained;
  explained.explanation = explain_prompt(model, layers, question.prompt, difference_of(question));
  auto about = describe_question(options, question);
  about.surrogate = read_layers.surrogate;
  explained.record = record_of(explained.explanation, about);
  name_terms(explained.explanation, question.vocabulary, explained.record.terms);
  if (!options.out.empty()) {
    const DirectoryLock lock(options.out);
    write_prompt_explanation(options.out, explained.explanation, explained.record);
    explained.page = write_prompt_page(options.out).string();
  }
  return explained;
}

Estimate estimate_explanation(const ExplainModelOptions& options) {
  const auto question = open_question(options);
  const auto& model = question.source.config;
  const int64_t d = model.hidden_size, h = model.intermediate_size;
  EigenConfig eigen;
  eigen.k = d, eigen.dtype = at::kDouble, eigen.energy = Energy::kOff;
  const double solving = plan_eigen({1, h, d, d, h, d}, question.device, eigen).operations;
  const double reading =
      2.0 * static_cast<double>(model.parameter_count()) * static_cast<double>(question.prompt.size());
  Estimate estimate;
  estimate.memory_bytes =
      peak_memory() + 8 * model.parameter_count() + 7 * 8 * d * d + 8 * 3 * h * d + 4 * model.vocab_size * d;
  estimate.disk_bytes = 1 << 20;
  // Counts one dense eigenproblem a layer and the forward pass.
  estimate.seconds = static_cast<double>(model.num_hidden_layers) * solving /
                         measure_product_rate(question.device, at::kDouble) +
                     reading / measure_product_rate(question.device, at::kFloat);
  return estimate;
}

}  // namespace bilens
