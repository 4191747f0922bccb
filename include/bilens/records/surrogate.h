#pragma once

#include "bilens/records/record_table.h"

namespace bilens {

/// What stands for a gated layer P(f(Wx + b) ⊙ (Vx + c)), which is no bilinear one.
enum class SurrogateKind {
  kHalf,       // P(½(Wx + b) ⊙ (Vx + c)): SiLU, GELU and ReLU are z/2 and a rest that is even in z
  kCalibrated  // P((a(Wx + b) + o) ⊙ (Vx + c)): the line nearest to each unit's activation on text
};
std::vector<std::pair<std::string, SurrogateKind>> record_names(SurrogateKind);

/// How well a line stands for the activations of one layer's units, on the text that it was fitted to.
struct SurrogateLayer {
  int64_t layer = 0;
  double unit_r2 = 0;
  int64_t degenerate_units = 0;

  static const RecordTable<SurrogateLayer>& record();
};

/// What bilinear layers stand for where they are not the model's own: the bilinear part of gated layers, or
/// lines through their activations.
struct SurrogateRecord {
  SurrogateKind kind = SurrogateKind::kHalf;
  std::string hidden_act;    // the gate that it stands for
  std::string meaning;       // in words
  std::optional<Json> data;  // with "calibrated": the text's settings, and the part of it that was fitted to
  std::optional<int64_t> first_token, tokens;
  std::optional<std::vector<SurrogateLayer>> layers;

  static const RecordTable<SurrogateRecord>& record();
};

}  // namespace bilens
