#pragma once

#include <optional>
#include <vector>

#include "bilens/analysis/forms/similarity.h"
#include "bilens/data/image_dataset.h"
#include "bilens/model/image_classifier.h"
#include "bilens/records/record_table.h"

namespace bilens {

/// One figure of likeness between two models with what it must be held against.
struct Likeness {
  double same_class = 0;        // mean over classes of the cosine between a class and itself
  double other_class = 0;       // the null: mean over pairs of different classes
  double best_wrong_class = 0;  // mean over classes of the largest cosine with a wrong class
  double untrained = 0;         // same_class against a model of the same shape with fresh weights
  std::vector<double> per_class;

  static const RecordTable<Likeness>& record();
};

/// Two classifiers side by side. "weights": cosine of the interaction matrices over the pixels (counts pixels
/// that never vary); "data": correlation of the logits for Gaussian inputs with the data's mean and
/// covariance; "outputs": correlation of the logits on real images; "eigenvectors": mean |cosine| of the top
/// eigenvectors, matched one to one. Without images there are no data and no outputs.
struct Comparison {
  Likeness weights;
  std::optional<Likeness> data, outputs;
  Likeness eigenvectors;

  static const RecordTable<Comparison>& record();
};

/// What a comparison needs of a model: its logits as quadratic forms of the pixels.
struct ComparedModel {
  QuadraticForms forms;     // centred classes; where the model is
  at::Tensor logits;        // centred, float64 [N, classes], on the CPU; undefined without images
  at::Tensor eigenvectors;  // [classes, k, d], of largest |λ|, on the CPU
};

/// @param split real images, or null
/// @throws Error(kBadInput) for a classifier of several layers or with a gate: its logits are no quadratic
/// form, and internal layers of two models do not share a space
ComparedModel prepare_comparison(const ImageClassifier& model, const ImageSplit* split);

/// A layer by itself, whose outputs are no logits: each is compared as it is, none is centred.
/// @param x inputs [N, d], float64; or undefined
ComparedModel prepare_comparison(const BilinearLayer& layer, const at::Tensor& x);

/// A model of the same shape with fresh weights, the null of a comparison.
ImageClassifier untrained_like(const ImageClassifier& model);
BilinearLayer untrained_like(const BilinearLayer& layer);

/// @param x of the images, or null
Comparison compare(const ComparedModel& a, const ComparedModel& b, const ComparedModel& untrained,
                   const InputDistribution* x);

}  // namespace bilens
