#include "intervention_result.h"

#include <cinttypes>

#include "bilens/core/progress.h"
#include "bilens/core/text.h"
#include "bilens/train/sign_flips.h"

namespace bilens {

namespace {

constexpr double kLevel = 0.05;

FigureIntervals figures_of(const OfFigures<IntervalRecord>& of, bool follows_logits) {
  return {of.loss, of.divergence, follows_logits ? std::optional(of.logits) : std::nullopt};
}

/// "+0.00133 [+0.00045, +0.00229], 0.02", the last by sign flips; the mean alone of one document.
std::string interval_in_words(const IntervalRecord& interval) {
  const auto mean = format("%+.5f", interval.mean);
  if (interval.documents < 2) return mean;
  return mean + format(" [%+.5f, %+.5f], %.2g", interval.low, interval.high, interval.flip_p);
}

/// A row of a table. @param figures one a column
std::string row(const std::string& name, const std::string& second, const std::vector<std::string>& figures) {
  std::string text = format("%-26s %8s", name.c_str(), second.c_str());
  for (const auto& figure : figures) text += format("  %-46s", figure.c_str());
  return text.substr(0, text.find_last_not_of(' ') + 1) + "\n";
}

/// The figures that are followed, in words. @param of a struct with a member for each
template <class Figures, class Words>
std::vector<std::string> figures_in_words(const Figures& of, const Words& words) {
  std::vector<std::string> columns = {words(of.loss), words(of.divergence)};
  if (of.logits) columns.push_back(words(*of.logits));
  return columns;
}

std::string heading(const std::string& name, const std::string& second, const std::string& what,
                    bool follows_logits) {
  std::vector<std::string> columns = {"loss" + what, "KL" + what};
  if (follows_logits) columns.push_back("logits" + what);
  return row(name, second, columns);
}

/// How small p by sign flips can be, and whether that is small enough. @param goal in words
std::string possible_flips(const InterventionResult& result, const std::string& goal) {
  const auto n = result.documents;
  if (n < 2) return "signs: p is not possible with one document\n";
  const auto flips = format_number(static_cast<double>(result.effects.front().change->loss.flips));
  const double least = smallest_flip_p(n);
  return format("signs: %s flips over %" PRId64 " documents: p is %.2g at least, so that ", flips.c_str(), n,
                least) +
         goal +
         (least <= result.wanted_p ? " is possible\n" : " is not possible: that takes more documents\n");
}

/// How small p can be by sign flips and by each kind of control, and whether that is small enough.
std::string possible_p(const InterventionResult& result) {
  const auto looked_at = result.about->intervention.looked_at;
  const auto goal = looked_at == 1 ? std::string("p <= .05")
                                   : format("p <= %.2g (.05 for each of %" PRId64 " eigenvectors)",
                                            result.wanted_p, looked_at);
  std::string text = possible_flips(result, goal);
  for (const auto& test : result.tests) {
    text += format("%s: p is 1/%" PRId64 " = %.2g at least, so that ", record_name(test.control).c_str(),
                   test.controls + 1, test.smallest_p) +
            goal +
            (test.enough
                 ? " is possible\n"
                 : format(" is not possible: that takes %" PRId64 " controls\n", controls_needed(looked_at)));
  }
  return text;
}

}  // namespace

const RecordTable<FigureIntervals>& FigureIntervals::record() {
  using R = FigureIntervals;
  static const auto table =
      RecordTable<R>()
          .field("loss", &R::loss, "Change of the loss.", "nats a token")
          .field("divergence", &R::divergence, "KL of the model's own next token to the changed one.",
                 "nats a token")
          .field("logits", &R::logits, "Change of the logits that are followed; null where none are.");
  return table;
}

const RecordTable<EffectResult>& EffectResult::record() {
  using R = EffectResult;
  static const auto table =
      RecordTable<R>()
          .field("what", &R::what,
                 "`eigenvectors`, then `direction` (all of u·y), then the controls: `random, same "
                 "eigenvalues`, `random, same mean`, and, if the layer has so many, `other eigenvectors`.")
          .field("size", &R::size, "Root mean square of the change of u·y.")
          .part(&R::change)
          .field("difference", &R::difference,
                 "The eigenvectors' change minus this one, paired by document; null of the eigenvectors.");
  return table;
}

const RecordTable<TestResult>& TestResult::record() {
  using R = TestResult;
  static const auto table =
      RecordTable<R>()
          .field("control", &R::control, "Kind of the controls.")
          .field("controls", &R::controls, "How many there are of this kind.")
          .field("smallest_p", &R::smallest_p, "How small p can be with so many.")
          .field("enough", &R::enough, "Whether p can be as small as `wanted_p`.")
          .field("loss", &R::loss, "Test by the loss.")
          .field("divergence", &R::divergence, "Test by the KL.")
          .field("logits", &R::logits, "Test by the logits that are followed; null where none are.");
  return table;
}

const RecordTable<InterventionSource>& InterventionSource::record() {
  using R = InterventionSource;
  static const auto table =
      RecordTable<R>()
          .field("decomposition", &R::decomposition, "Path of the decomposition.")
          .field("model", &R::model, "Path of the model.")
          .field("surrogate", &R::surrogate,
                 "What the decomposed layers stand for; null for a bilinear model.")
          .field("layer", &R::layer, "Number of the layer.")
          .field("direction", &R::direction, "Name of the direction u.")
          .field("eigenvectors", &R::eigenvectors, "Numbers of the eigenvectors that are changed together.")
          .field("intervention", &R::intervention, "What takes the place of their contribution.")
          .field("data", &R::data, "Settings of the text.")
          .field("source", &R::source,
                 "Settings of the text whose values are put in, read in the windows of `data`; null where "
                 "there is none.");
  return table;
}

const RecordTable<InterventionResult>& InterventionResult::record() {
  using R = InterventionResult;
  static const auto table =
      RecordTable<R>()
          .part(&R::about)
          .field("tokens", &R::tokens, "How many tokens were predicted.", "tokens")
          .field("documents", &R::documents, "How many documents these are of.", "documents")
          .field("loss", &R::loss, "Cross-entropy of the model as it is.", "nats a token")
          .field("effects", &R::effects, "What each change does, the eigenvectors' first.")
          .field("wanted_p", &R::wanted_p, ".05 for each of the eigenvectors `looked_at`.")
          .field("tests", &R::tests, "The eigenvectors beside the controls, one entry a kind of control.");
  return table;
}

InterventionResult intervention_result(const InterventionSource& about, const InterventionStudy& study,
                                       bool follows_logits) {
  const int64_t looked_at = about.intervention.looked_at;
  InterventionResult result{about, study.tokens, study.documents, study.loss, {}, 0, {}};
  for (const auto& effect : study.effects) {
    result.effects.push_back({effect.what, effect.size, figures_of(effect.change, follows_logits), {}});
    if (result.effects.size() > 1)
      result.effects.back().difference = figures_of(effect.difference, follows_logits);
  }
  result.wanted_p = kLevel / static_cast<double>(looked_at);
  for (const auto& test : study.tests) {
    result.tests.push_back({test.what,
                            test.controls,
                            1.0 / static_cast<double>(test.controls + 1),
                            test.controls >= controls_needed(looked_at),
                            test.of.loss,
                            test.of.divergence,
                            {}});
    if (follows_logits) result.tests.back().logits = test.of.logits;
  }
  return result;
}

std::string intervention_in_words(const InterventionResult& result) {
  const auto& about = *result.about;
  const bool follows_logits = result.effects.front().change->logits.has_value();
  std::string text = format(
      "layer %" PRId64 ", %s, eigenvectors %s, %s: loss %.4f on %s tokens of %s %s%s\n", about.layer,
      about.direction.c_str(), Json(about.eigenvectors).dump().c_str(),
      change_name(about.intervention.change).c_str(), result.loss,
      format_number(static_cast<double>(result.tokens)).c_str(),
      format_number(static_cast<double>(result.documents)).c_str(),
      result.documents == 1 ? "document, which gives no intervals" : "documents",
      about.data.split == TextSplit::kAll ? "" : (", " + split_name(about.data.split) + " part").c_str());
  if (about.surrogate) text += "surrogate: " + about.surrogate->meaning + "\n";
  const auto interval =
      result.documents < 2 ? std::string() : format(" [95%%, n = %" PRId64 "], signs", result.documents);
  text += heading("changed", "size", interval, follows_logits);
  for (const auto& effect : {result.effects[0], result.effects[1]})  // those of the controls are in --json
    text += row(record_name(effect.what), format("%.3g", effect.size),
                figures_in_words(*effect.change, interval_in_words));
  text += heading("eigenvectors minus", "controls", interval + ", rank", follows_logits);
  for (const auto& test : result.tests) {
    text += row(record_name(test.control), format("%" PRId64, test.controls),
                figures_in_words(test, [](const ControlTest& of) {
                  return interval_in_words(of.difference) + format(", %.2g", of.p);
                }));
  }
  return text + possible_p(result);
}

}  // namespace bilens
