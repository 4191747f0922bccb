#pragma once

#include <vector>

#include "bilens/records/text_truncation.h"
#include "bilens/study/corpus_study.h"

namespace bilens {

/// Loss on a text with one layer at a time truncated. What lies outside the span of its directions stays the
/// model's own; with axes as directions nothing does. Runs the model once, and once for each layer and k.
/// @throws Error(kBadInput) when layers and model do not fit; Stopped
LossesRecord truncate_on_text(Decoder& model, const TextWindows& text,
                              const std::vector<CorpusSource>& sources);

}  // namespace bilens
