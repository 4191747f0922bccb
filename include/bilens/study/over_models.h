#pragma once

#include <optional>
#include <vector>

#include "bilens/study/comparison.h"

namespace bilens {

/// A likeness of every two of several models.
struct OverPairs {
  double mean = 0, sd = 0;   // over the pairs
  double low = 0, high = 0;  // 95% interval of the mean, as if the models had been drawn from many

  static const RecordTable<OverPairs>& record();
};

/// How far the likeness of a class to itself varies from model to model, as of runs with seeds of their own.
struct OverModels {
  int64_t models = 0, pairs = 0;
  OverPairs weights;
  std::optional<OverPairs> data, outputs;
  OverPairs eigenvectors;

  static const RecordTable<OverModels>& record();
};

/// Takes the likenesses of all pairs, in the order (0, 1), (0, 2), ... (1, 2), ..., and returns their mean
/// and standard deviation. Pairs share models, so the interval is by leaving out a model at a time: Student's
/// t with n − 1 degrees of freedom and the jackknife's variance, (n − 1)/n Σ(R₍ᵢ₎ − mean)², R₍ᵢ₎ the mean
/// without model i.
/// @param models n, 3 or more
OverPairs over_pairs(const std::vector<double>& likenesses, int64_t models);

/// Does so for each of the likenesses that pairs have. @param pairs in that order
OverModels over_models(const std::vector<Comparison>& pairs, int64_t models);

}  // namespace bilens
