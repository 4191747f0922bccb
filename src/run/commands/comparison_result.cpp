#include "comparison_result.h"

#include "bilens/core/text.h"

namespace bilens {

namespace {

std::string likeness_in_words(const char* name, const std::optional<Likeness>& given) {
  if (!given) return "";
  const auto& likeness = *given;
  return format("  %-13s%8.3f %12.3f %17.3f %10.3f\n", name, likeness.same_class, likeness.other_class,
                likeness.best_wrong_class, likeness.untrained);
}

}  // namespace

const RecordTable<ComparisonResult>& ComparisonResult::record() {
  using R = ComparisonResult;
  static const auto table =
      RecordTable<R>().field("models", &R::models, "Paths of the two models.").part(&R::likeness);
  return table;
}

std::string comparison_in_words(const ComparisonResult& result) {
  const auto& likeness = *result.likeness;
  return result.models[0] + "  " + result.models[1] + "\n" + likeness_in_words("weights", likeness.weights) +
         likeness_in_words("data", likeness.data) + likeness_in_words("outputs", likeness.outputs) +
         likeness_in_words("eigenvectors", likeness.eigenvectors);
}

}  // namespace bilens
