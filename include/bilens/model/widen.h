#pragma once

#include "bilens/model/decoder.h"

namespace bilens {

/// Adds hidden units to each MLP; the function stays the same. Their rows of gate_proj and up_proj are
/// normal, with the standard deviation of the rows that are there (biases 0), and what down_proj has for them
/// is 0, so they say nothing until they are fitted or trained. A layer's form in its input, a matrix
/// [hidden_size, hidden_size] for each output direction, keeps its size.
/// @param units of each MLP, at least as many as there are
/// @return weights of its own for the MLPs, of the same dtypes; the others shared
Decoder widen(const Decoder& model, int64_t units, uint64_t seed);

}  // namespace bilens
