#pragma once

#include "bilens/core/json.h"
#include "bilens/records/image_record.h"
#include "image_pool.h"

namespace bilens::report {

/// What a study on images says of the whole model: {"data", "evaluation", "validation", "truncation",
/// "exactness", "reconstruction"}.
Json study_summary(const ImageStudy& study);

/// {"mean", "std", "data_r2", "positive", "negative"} of an eigenpair, without what the study has not;
/// null: undefined.
Json importance_of_pair(const ImageStudy& study, const Importance& layer, int64_t direction, int64_t index,
                        int64_t max_examples, ImagePool& images);

}  // namespace bilens::report
