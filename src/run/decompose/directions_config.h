#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "bilens/core/fields.h"
#include "bilens/data/token_name.h"
#include "bilens/records/layer_decomposition.h"

namespace bilens {

/// A kind and its keys; those of other kinds are not given.
struct DirectionsConfig {
  DirectionKind kind = DirectionKind::kOutputs;
  int64_t count = 0, seed = 0;                 // random; hosvd has a count
  std::string path, tensor;                    // file
  at::Tensor given;                            // rows in memory, in the place of a file's; or undefined
  std::vector<TokenName> plus, minus, tokens;  // tokens; unembedding
  int64_t layer = 0, direction = 0;            // eigenvectors
  std::vector<int64_t> indices;
};

/// Schema, reader and writer of the config key "directions": an object with a kind, or a string that stands
/// for its kind (core/kind_table.h).
Json directions_schema();
DirectionsConfig read_directions(const Json& directions, const std::string& where,
                                 std::vector<Problem>& problems);
Json write_directions(const DirectionsConfig& directions);

/// Puts a seed into what a config says of its directions, where that asks for random ones.
void set_seed_of_directions(Json& directions, int64_t seed);

}  // namespace bilens
