#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bilens/data/text_data.h"
#include "bilens/records/surrogate.h"
#include "bilens/study/intervention.h"

namespace bilens {

/// Each figure of a change, with its interval.
struct FigureIntervals {
  IntervalRecord loss, divergence;
  std::optional<IntervalRecord> logits;  // where a difference of logits is followed

  static const RecordTable<FigureIntervals>& record();
};

struct EffectResult {
  Changed what = Changed::kEigenvectors;
  double size = 0;
  std::optional<FigureIntervals> change;
  std::optional<FigureIntervals> difference;  // none of the eigenvectors' own

  static const RecordTable<EffectResult>& record();
};

/// The eigenvectors beside all controls of one kind.
struct TestResult {
  Changed control = Changed::kSameEigenvalues;
  int64_t controls = 0;
  double smallest_p = 0;
  bool enough = false;
  ControlTest loss, divergence;
  std::optional<ControlTest> logits;

  static const RecordTable<TestResult>& record();
};

/// What is changed, and on which text.
struct InterventionSource {
  std::string decomposition, model;
  std::optional<SurrogateRecord> surrogate;
  int64_t layer = 0;
  std::string direction;  // its name
  std::vector<int64_t> eigenvectors;
  InterventionConfig intervention;  // resolved
  TextDataConfig data;
  std::optional<TextDataConfig> source;

  static const RecordTable<InterventionSource>& record();
};

/// What `bilens intervene --json` prints.
struct InterventionResult {
  std::optional<InterventionSource> about;
  int64_t tokens = 0, documents = 0;
  double loss = 0;
  std::vector<EffectResult> effects;
  double wanted_p = 0;
  std::vector<TestResult> tests;

  static const RecordTable<InterventionResult>& record();
};

/// @param follows_logits whether a difference of logits was followed
InterventionResult intervention_result(const InterventionSource& about, const InterventionStudy& study,
                                       bool follows_logits);

/// The result as tables: what the changes do; the eigenvectors less their controls, with p; how small p can
/// be.
std::string intervention_in_words(const InterventionResult& result);

}  // namespace bilens
