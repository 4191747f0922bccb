#pragma once

#include "bilens/data/image_dataset.h"
#include "bilens/model/image_classifier.h"

namespace bilens {

struct ImageEvaluation {
  int64_t examples = 0;
  double loss = 0.0;      // mean cross-entropy, nats an image
  double accuracy = 0.0;  // share of images whose largest logit is the label's
};

/// Loss and accuracy of a classifier over a split, in batches, on the model's device.
ImageEvaluation evaluate_classifier(ImageClassifier& model, const ImageSplit& split);

/// All logits of a split, float32 [n, d_output], on the CPU.
at::Tensor compute_logits(ImageClassifier& model, const ImageSplit& split);

/// Loss and accuracy of given logits [n, classes] against labels [n].
ImageEvaluation evaluate_logits(const at::Tensor& logits, const at::Tensor& labels);

}  // namespace bilens
