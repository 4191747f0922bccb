#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bilens/core/fields.h"

namespace bilens {

constexpr double kLongestSequence = 1 << 28;  // positions

/// How the angles of the rotary embedding are stretched beyond the trained length.
enum class RopeScaling { kDefault, kLinear, kDynamic, kLlama3, kLongRope };

/// Angle of pair i at position p: p ω_i, ω_i = theta^(-2i/r) of r turned numbers a head, then scaled:
///   linear    ω_i / factor
///   dynamic   theta grows with sequences longer than max_position_embeddings (NTK)
///   llama3    wavelengths above original/low_freq_factor divided by factor, below original/high_freq_factor
///             kept, interpolated between
///   longrope  ω_i / short_factor_i, in sequences longer than the original ω_i / long_factor_i; what is
///   turned
///             grows by attention_factor (arXiv 2402.13753)
struct RopeConfig {
  RopeScaling scaling = RopeScaling::kDefault;
  double theta = 10000.0;
  double factor = 1.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  int64_t original_max_position_embeddings = 8192;
  double partial_rotary_factor = 1.0;  // the share of each head that is turned
  std::vector<double> short_factor, long_factor;
  double attention_factor = 1.0;
};

/// Keys of the scalings that all families may have.
const FieldTable<RopeConfig>& rope_fields();

/// Of a config.json; rope_scaling, where given, comes before rope_parameters, as in transformers; rope_theta
/// stands inside or beside.
/// @param trained max_position_embeddings
RopeConfig read_rope(const Json& json, int64_t trained, const std::string& where,
                     std::vector<Problem>& problems);

/// The same of Phi-3, which has longrope and turns a part of each head.
/// @param head_dim a head's width @param trained max_position_embeddings
RopeConfig read_phi3_rope(const Json& json, int64_t head_dim, int64_t trained, const std::string& where,
                          std::vector<Problem>& problems);

/// rope_theta and rope_scaling, in the spelling that transformers 4 and 5 both read.
void write_rope(const RopeConfig& rope, Json& json);
void write_phi3_rope(const RopeConfig& rope, int64_t trained, Json& json);

}  // namespace bilens
