#include "comparison_result.h"

#include <cinttypes>

#include "bilens/core/text.h"

namespace bilens {

namespace {

std::string likeness_in_words(const char* name, const std::optional<Likeness>& given) {
  if (!given) return "";
  const auto& likeness = *given;
  return format("  %-13s%8.3f %12.3f %17.3f %10.3f\n", name, likeness.same_class, likeness.other_class,
                likeness.best_wrong_class, likeness.untrained);
}

std::string over_pairs_in_words(const char* name, const std::optional<OverPairs>& over) {
  if (!over) return "";
  return format("  %-13s%8.3f %8.3f  [%.3f, %.3f]\n", name, over->mean, over->sd, over->low, over->high);
}

std::string variation_in_words(const OverModels& over) {
  return format("same, over %" PRId64 " pairs of %" PRId64 " models\n", over.pairs, over.models) +
         format("                 mean       sd  [95%%, n = %" PRId64 "]\n", over.models) +
         over_pairs_in_words("weights", over.weights) + over_pairs_in_words("data", over.data) +
         over_pairs_in_words("outputs", over.outputs) +
         over_pairs_in_words("eigenvectors", over.eigenvectors);
}

}  // namespace

const RecordTable<ComparisonResult>& ComparisonResult::record() {
  using R = ComparisonResult;
  static const auto table =
      RecordTable<R>()
          .field("models", &R::models, "Paths of the two models, or of all in the last entry.")
          .part(&R::likeness)
          .field("over", &R::over,
                 "How the pairs' figures vary from model to model; only in the last entry, of three models "
                 "or more.")
          .omitted();
  return table;
}

std::string comparison_in_words(const ComparisonResult& result) {
  if (result.over) return variation_in_words(*result.over);
  const auto& likeness = *result.likeness;
  return result.models[0] + "  " + result.models[1] + "\n" + likeness_in_words("weights", likeness.weights) +
         likeness_in_words("data", likeness.data) + likeness_in_words("outputs", likeness.outputs) +
         likeness_in_words("eigenvectors", likeness.eigenvectors);
}

}  // namespace bilens
