#pragma once

#include "bilens/data/image_dataset.h"
#include "bilens/dist/ranks.h"
#include "bilens/model/image_classifier.h"
#include "bilens/records/image_record.h"
#include "bilens/records/metrics.h"

namespace bilens {

/// An evaluation as a line of metrics.jsonl, without step and epoch.
EvaluationMetrics metrics_of(const ImageEvaluation& evaluation, const char* split);

/// Loss and accuracy of a classifier over a split, in batches, on the model's device.
/// @param ranks who share the batches: all get the same result, that of one process
ImageEvaluation evaluate_classifier(ImageClassifier& model, const ImageSplit& split,
                                    const Ranks& ranks = Ranks::one());

/// All logits of a split, float32 [n, d_output], on the CPU. @param ranks as above
at::Tensor compute_logits(ImageClassifier& model, const ImageSplit& split, const Ranks& ranks = Ranks::one());

/// Loss and accuracy of given logits [n, classes] against labels [n].
ImageEvaluation evaluate_logits(const at::Tensor& logits, const at::Tensor& labels);

}  // namespace bilens
