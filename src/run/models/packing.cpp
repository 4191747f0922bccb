#include "packing.h"

namespace bilens {

void check_packing(const DecoderConfig& model, const TextDataConfig& data, const std::string& where,
                   std::vector<Problem>& problems) {
  const int64_t original = model.rope.original_max_position_embeddings;
  const bool depends = model.rope.scaling == RopeScaling::kLongRope && data.context > original;
  if (!depends || data.packing != Packing::kDocuments) return;
  problems.push_back({key_path(where, "packing"),
                      "\"plain\", or a context of at most the " + std::to_string(original) +
                          " tokens beyond which longrope has other angles",
                      "\"documents\" and a context of " + std::to_string(data.context),
                      "Packed documents would have the angles of the whole sequence, not their own."});
}

}  // namespace bilens
