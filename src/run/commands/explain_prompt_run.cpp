#include "bilens/run/explain_prompt_run.h"

#include <algorithm>
#include <cinttypes>

#include "bilens/core/shell.h"
#include "bilens/core/text.h"
#include "bilens/run/explain_model.h"
#include "explanation_result.h"

namespace bilens {

namespace {

constexpr size_t kTermsInWords = 8;

/// A token of the command line: a number is an id.
std::optional<TokenName> token_of(const std::string& token) {
  if (token.empty()) return std::nullopt;
  const bool number = token.size() < 10 && token.find_first_not_of("0123456789") == std::string::npos;
  return number ? TokenName(int64_t{std::stoll(token)}) : TokenName(token);
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

}  // namespace

std::optional<SurrogateKind> parse_surrogate(const std::string& word) {
  if (word.empty() || word == "none") return std::nullopt;
  const auto& half = record_name(SurrogateKind::kHalf);
  if (word == half) return SurrogateKind::kHalf;
  const bool calibrated = word == record_name(SurrogateKind::kCalibrated);
  throw Error(ExitCode::kUsage, {"--surrogate", "one of \"none\", \"" + half + "\"", "\"" + word + "\"",
                                 calibrated ? "Only `bilens decompose` has a text to calibrate on." : ""});
}

Outcome run_prompt_explanation(const ExplainPromptOptions& given) {
  const ExplainModelOptions options{StoredModel(given.model),
                                    given.prompt,
                                    std::nullopt,
                                    token_of(given.logit),
                                    token_of(given.minus),
                                    given.surrogate,
                                    with_surrogate(given),
                                    given.tokenizer,
                                    {},
                                    given.out,
                                    given.device,
                                    given.threads};
  Outcome outcome;
  if (given.dry_run) {
    outcome.estimate = estimate_explanation(options);
    return outcome;
  }
  const auto explained = explain_model(options);
  outcome.text = in_words(explained.record);
  if (explained.page) outcome.text += "The same as a page: " + *explained.page + "\n";
  const Explained<PromptExplanationRecord> result{explained.record, explained.page};
  outcome.results.push_back(result.record().write(result));
  return outcome;
}

}  // namespace bilens
