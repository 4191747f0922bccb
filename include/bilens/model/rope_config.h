#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bilens/core/fields.h"

namespace bilens {

constexpr double kLongestSequence = 1 << 28;  // positions

/// How the angles of the rotary embedding are stretched beyond the trained length.
enum class RopeScaling { kDefault, kLinear, kDynamic, kLlama3, kYarn, kLongRope };

/// Angle of pair i at position p: p ω_i, ω_i = theta^(-2i/r) of r turned numbers a head, then scaled:
///   linear    ω_i / factor
///   dynamic   theta grows with sequences longer than max_position_embeddings (NTK)
///   llama3    wavelengths above original/low_freq_factor divided by factor, below original/high_freq_factor
///             kept, interpolated between
///   yarn      pairs that turn less than beta_slow times in the original length divided by factor, those that
///             turn more than beta_fast times kept, interpolated between; the turned numbers are multiplied
///             by attention_factor (arXiv 2309.00071)
///   longrope  ω_i / short_factor_i, and ω_i / long_factor_i in sequences longer than the original;
///             what is turned grows by attention_factor (arXiv 2402.13753)
struct RopeConfig {
  RopeScaling scaling = RopeScaling::kDefault;
  double theta = 10000.0;
  double factor = 1.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  double beta_fast = 32.0, beta_slow = 1.0;
  int64_t original_max_position_embeddings = 8192;
  double partial_rotary_factor = 1.0;  // the share of each head that is turned
  std::vector<double> short_factor, long_factor;
  std::optional<double> attention_factor;  // nothing: what yarn and longrope derive, and 1 elsewhere
};

/// What the turned numbers are multiplied by.
double attention_factor(const RopeConfig& rope);

/// Keys of the scalings that all families may have.
const FieldTable<RopeConfig>& rope_fields();

/// Adds a problem for a yarn whose keys contradict each other, or that nothing here computes.
/// @param given the keys as somebody wrote them @param path of the object that has them
void check_yarn(const RopeConfig& rope, const Json& given, const std::string& path,
                std::vector<Problem>& problems);

/// Reads the rotary embedding from a config.json. `rope_scaling` counts before `rope_parameters`, as in
/// transformers; `rope_theta` stands inside or beside.
/// @param trained max_position_embeddings
RopeConfig read_rope(const Json& json, int64_t trained, const std::string& where,
                     std::vector<Problem>& problems);

/// rope_theta and rope_scaling, in the spelling that transformers 4 and 5 both read.
void write_rope(const RopeConfig& rope, Json& json);

// What a family's own reader of its rotary embedding is made of.

/// The names that scalings have in a config.json.
using RopeNames = std::vector<std::pair<std::string, RopeScaling>>;

/// The keys of the rotary embedding that every family has, with its names of the scalings.
FieldTable<RopeConfig> rope_fields_with(const RopeNames& names);

/// What rope_scaling, or else rope_parameters, holds; and where it stands.
struct GivenRope {
  Json inside = Json::object();  // with "rope_type" and "rope_theta", also where they stand elsewhere
  std::string path;
  bool good = true;
};
GivenRope given_rope(const Json& json, const std::string& where, std::vector<Problem>& problems);

/// Adds a problem for each of the names that is no key. @param path of the object, in messages
void require_rope_keys(const Json& known, const std::vector<std::string>& names, const std::string& path,
                       std::vector<Problem>& problems);

}  // namespace bilens
