#pragma once

#include "bilens/core/json.h"
#include "bilens/io/safetensors.h"
#include "checked_json.h"
#include "corpus_data.h"
#include "detail.h"
#include "image_pool.h"
#include "study_data.h"
#include "token_data.h"

namespace bilens::report {

/// One layer of a decomposition for the page.
/// @param entry of decomposition.json's layers
/// @param tensors of the layer, as docs/formats.md lists them; every shape is checked
/// @param study, corpus, tokens null when there is none
/// @throws Error(kBadInput)
Json layer_data(const CheckedJson& entry, const SafetensorsFile& tensors, const Study* study,
                const Corpus* corpus, const Tokens* tokens, const Detail& detail, ImagePool& images);

}  // namespace bilens::report
