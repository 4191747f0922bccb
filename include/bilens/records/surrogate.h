#pragma once

#include "bilens/records/record_table.h"

namespace bilens {

/// What stands for a gated layer P(f(Wx + b) ⊙ (Vx + c)), which is no bilinear one.
enum class SurrogateKind {
  kHalf,       // P(½(Wx + b) ⊙ (Vx + c)): SiLU, GELU and ReLU are z/2 and a rest that is even in z
  kCalibrated  // each unit's product f(z)y replaced by the bilinear unit nearest to it on text
};
std::vector<std::pair<std::string, SurrogateKind>> record_names(SurrogateKind);

/// How well bilinear units stand for those of one gated layer: on the text that they were fitted to, and the
/// layer's whole output on text that they were not.
struct SurrogateLayer {
  int64_t layer = 0;
  double unit_r2 = 0;  // of lines az + b for f(z)
  int64_t degenerate_units = 0;
  std::optional<double> product_r2;                 // of the units for f(z)y
  std::optional<double> output_r2, line_output_r2;  // of the layer with the units, and with (az + b)y

  static const RecordTable<SurrogateLayer>& record();
};

/// What bilinear layers stand for where they are not the model's own: the bilinear part of gated layers, or
/// bilinear units fitted to theirs.
struct SurrogateRecord {
  SurrogateKind kind = SurrogateKind::kHalf;
  std::string hidden_act;    // the gate that it stands for
  std::string meaning;       // in words
  std::optional<Json> data;  // with "calibrated": the text's settings, and the part of it that was fitted to
  std::optional<int64_t> first_token, tokens;
  std::optional<int64_t> held_out_tokens;  // the first of the text, that output_r2 is of
  std::optional<std::vector<SurrogateLayer>> layers;

  static const RecordTable<SurrogateRecord>& record();
};

}  // namespace bilens
