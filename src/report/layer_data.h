#pragma once

#include "bilens/records/decomposition.h"
#include "bilens/records/image_record.h"
#include "bilens/records/token_record.h"
#include "corpus_data.h"
#include "detail.h"
#include "image_pool.h"

namespace bilens::report {

/// One layer of a decomposition, with the studies that may have something of it; null where there is none.
struct LayerPart {
  const LayerDecomposition& layer;
  const LayerRecord& record;
  const ImageStudy* study;
  const Corpus* corpus;
  const TokenStudy* tokens;
};

/// The layer for the page. @throws Error(kBadInput) for a study that does not fit it
Json layer_data(const LayerPart& part, const Detail& detail, ImagePool& images);

}  // namespace bilens::report
