#include "intervention_result.h"

#include <cinttypes>
#include <functional>

#include "bilens/core/progress.h"
#include "bilens/core/text.h"

namespace bilens {

namespace {

constexpr double kLevel = 0.05;
const char* const kFigures[] = {"loss", "divergence", "logits"};

/// A member for each figure; that of the logits null where none are followed.
template <class T, class ToJson>
Json by_figure(const OfFigures<T>& of, bool follows_logits, const ToJson& json) {
  return {{"loss", json(of.loss)},
          {"divergence", json(of.divergence)},
          {"logits", follows_logits ? json(of.logits) : Json()}};
}

/// "+0.00133 [+0.00045, +0.00229]"; the mean alone where one document gives no interval.
std::string interval_in_words(const Json& interval) {
  const auto number = [&](const char* key) { return interval.at(key).get<double>(); };
  const auto mean = format("%+.5f", number("mean"));
  if (interval.at("documents").get<int64_t>() < 2) return mean;
  return mean + format(" [%+.5f, %+.5f]", number("low"), number("high"));
}

/// A row of a table with a column for each figure that is followed. @param words of an entry's figure
std::string row(const std::string& name, const std::string& second, const Json& entry,
                const std::function<std::string(const Json&)>& words) {
  std::string text = format("%-26s %8s", name.c_str(), second.c_str());
  for (const char* figure : kFigures)
    if (!entry.at(figure).is_null()) text += format("  %-40s", words(entry.at(figure)).c_str());
  return text.substr(0, text.find_last_not_of(' ') + 1) + "\n";
}

std::string heading(const std::string& name, const std::string& second, const std::string& what,
                    bool follows_logits) {
  const Json names = {{"loss", "loss" + what},
                      {"divergence", "KL" + what},
                      {"logits", follows_logits ? Json("logits" + what) : Json()}};
  return row(name, second, names, [](const Json& of) { return of.get<std::string>(); });
}

/// How small p can be, and whether that is small enough.
std::string possible_p(const Json& result) {
  const auto looked_at = result.at("intervention").at("looked_at").get<int64_t>();
  const auto goal = looked_at == 1 ? std::string("p <= .05")
                                   : format("p <= %.2g (.05 for each of %" PRId64 " eigenvectors)",
                                            result.at("wanted_p").get<double>(), looked_at);
  std::string text;
  for (const auto& test : result.at("tests")) {
    text += format("%s: p is 1/%" PRId64 " = %.2g at least, so that ",
                   test.at("control").get<std::string>().c_str(), test.at("controls").get<int64_t>() + 1,
                   test.at("smallest_p").get<double>()) +
            goal +
            (test.at("enough").get<bool>()
                 ? " is possible\n"
                 : format(" is not possible: that takes %" PRId64 " controls\n", controls_needed(looked_at)));
  }
  return text;
}

}  // namespace

Json to_json(const InterventionStudy& study, const InterventionConfig& config, bool follows_logits) {
  const auto intervals = [&](const OfFigures<DocumentInterval>& of) {
    return by_figure(of, follows_logits, [](const DocumentInterval& found) { return to_json(found); });
  };
  Json effects = Json::array(), tests = Json::array();
  for (const auto& effect : study.effects) {
    Json entry = {{"what", effect.what}, {"size", effect.size}};
    entry.update(intervals(effect.change));
    entry["difference"] = effects.empty() ? Json() : intervals(effect.difference);
    effects.push_back(entry);
  }
  for (const auto& test : study.tests) {
    Json entry = {{"control", test.what},
                  {"controls", test.controls},
                  {"smallest_p", 1.0 / static_cast<double>(test.controls + 1)},
                  {"enough", test.controls >= controls_needed(config.looked_at)}};
    entry.update(by_figure(test.of, follows_logits, [](const ControlTest& found) {
      return Json{{"difference", to_json(found.difference)}, {"p", found.p}};
    }));
    tests.push_back(entry);
  }
  return {{"tokens", study.tokens},
          {"documents", study.documents},
          {"loss", study.loss},
          {"effects", effects},
          {"wanted_p", kLevel / static_cast<double>(config.looked_at)},
          {"tests", tests}};
}

std::string intervention_in_words(const Json& result) {
  const auto documents = result.at("documents").get<int64_t>();
  const auto &effects = result.at("effects"), &tests = result.at("tests");
  const bool follows_logits = !effects[0].at("logits").is_null();
  const auto split = result.at("data").at("split").get<std::string>();
  std::string text =
      format("layer %" PRId64 ", %s, eigenvectors %s, %s: loss %.4f on %s tokens of %s %s%s\n",
             result.at("layer").get<int64_t>(), result.at("direction").get<std::string>().c_str(),
             result.at("eigenvectors").dump().c_str(),
             result.at("intervention").at("change").get<std::string>().c_str(),
             result.at("loss").get<double>(), format_number(result.at("tokens").get<double>()).c_str(),
             format_number(static_cast<double>(documents)).c_str(),
             documents == 1 ? "document, which gives no intervals" : "documents",
             split == "all" ? "" : (", " + split + " part").c_str());
  if (!result.at("surrogate").is_null())
    text += "surrogate: " + result.at("surrogate").at("meaning").get<std::string>() + "\n";
  const auto interval = documents < 2 ? std::string() : format(" [95%%, n = %" PRId64 "]", documents);
  text += heading("changed", "size", interval, follows_logits);
  for (const auto& effect : {effects[0], effects[1]})  // those of the controls are in --json
    text += row(effect.at("what").get<std::string>(), format("%.3g", effect.at("size").get<double>()), effect,
                interval_in_words);
  text += heading("eigenvectors minus", "controls", interval + ", p", follows_logits);
  for (const auto& test : tests) {
    text += row(test.at("control").get<std::string>(), format("%" PRId64, test.at("controls").get<int64_t>()),
                test, [](const Json& of) {
                  return interval_in_words(of.at("difference")) + format(", %.3g", of.at("p").get<double>());
                });
  }
  return text + possible_p(result);
}

}  // namespace bilens
