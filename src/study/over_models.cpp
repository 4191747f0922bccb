#include "bilens/study/over_models.h"

#include <cmath>
#include <numeric>

#include "bilens/core/student_t.h"

namespace bilens {

namespace {

constexpr double kCoverageOverModels = 0.95;

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Σ(x − mean)²
double spread_of(const std::vector<double>& values) {
  const double mean = mean_of(values);
  return std::accumulate(values.begin(), values.end(), 0.0,
                         [&](double sum, double x) { return sum + (x - mean) * (x - mean); });
}

/// The mean over pairs without each of the models.
std::vector<double> means_without_one(const std::vector<double>& likenesses, int64_t models) {
  std::vector<double> means;
  for (int64_t out = 0; out < models; ++out) {
    std::vector<double> left;
    auto next = likenesses.begin();
    for (int64_t i = 0; i < models; ++i) {
      for (int64_t j = i + 1; j < models; ++j, ++next)
        if (i != out && j != out) left.push_back(*next);
    }
    means.push_back(mean_of(left));
  }
  return means;
}

std::optional<OverPairs> over_known(const std::vector<Comparison>& pairs, int64_t models,
                                    std::optional<Likeness> Comparison::*of) {
  std::vector<double> likenesses;
  for (const auto& pair : pairs)
    if (pair.*of) likenesses.push_back((pair.*of)->same_class);
  return likenesses.size() == pairs.size() ? std::optional(over_pairs(likenesses, models)) : std::nullopt;
}

OverPairs over_all(const std::vector<Comparison>& pairs, int64_t models, Likeness Comparison::*of) {
  std::vector<double> likenesses;
  for (const auto& pair : pairs) likenesses.push_back((pair.*of).same_class);
  return over_pairs(likenesses, models);
}

}  // namespace

const RecordTable<OverPairs>& OverPairs::record() {
  using R = OverPairs;
  static const auto table =
      RecordTable<R>()
          .field("mean", &R::mean, "Mean of `same_class` over all pairs of models.")
          .field("sd", &R::sd, "Its standard deviation over pairs.")
          .field("low", &R::low, "Lower end of the mean's 95% interval over models, by the jackknife.")
          .field("high", &R::high, "Its upper end.");
  return table;
}

const RecordTable<OverModels>& OverModels::record() {
  using R = OverModels;
  static const auto table =
      RecordTable<R>()
          .field("models", &R::models, "How many models there are.")
          .field("pairs", &R::pairs, "How many pairs these are.")
          .field("weights", &R::weights, "Likeness by the pairs' `weights`.")
          .field("data", &R::data, "Likeness by their `data`; null without data.")
          .field("outputs", &R::outputs, "Likeness by their `outputs`; null without data.")
          .field("eigenvectors", &R::eigenvectors, "Likeness by their `eigenvectors`.");
  return table;
}

OverPairs over_pairs(const std::vector<double>& likenesses, int64_t models) {
  const auto n = static_cast<double>(models), pairs = static_cast<double>(likenesses.size());
  const double mean = mean_of(likenesses);
  const double error = std::sqrt((n - 1) / n * spread_of(means_without_one(likenesses, models)));
  const double half = student_t_bound(kCoverageOverModels, models - 1) * error;
  return {mean, std::sqrt(spread_of(likenesses) / (pairs - 1)), mean - half, mean + half};
}

OverModels over_models(const std::vector<Comparison>& pairs, int64_t models) {
  return {models,
          static_cast<int64_t>(pairs.size()),
          over_all(pairs, models, &Comparison::weights),
          over_known(pairs, models, &Comparison::data),
          over_known(pairs, models, &Comparison::outputs),
          over_all(pairs, models, &Comparison::eigenvectors)};
}

}  // namespace bilens
