#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bilens/io/weights.h"

namespace bilens {

struct Family;

/// How the tensors of a gated MLP are called behind a prefix; # is a number. Without `up`, `gate` is packed:
/// its rows are those of both, gate first.
struct MlpForm {
  const char *gate, *up, *down;
  const char* module;      // the part of these names that belongs to the MLP alone; null: not known
  bool needs_down = true;  // a layer without `down` is a part of one
};

/// The tensors of one gated MLP by our names; empty where there is none. Weights are [out, in].
struct MlpNames {
  int64_t layer = 0;
  const Family* family = nullptr;  // that alone has such names; null: they do not tell it
  bool needs_down = false;
  std::string block;           // what stands before all names of the decoder block: "model.layers.0."
  std::string module;          // and before those of the MLP alone: "model.layers.0.mlp."; "": not known
  std::string gate, up, down;  // .weight, or tensor expressions
  std::string gate_bias, up_bias, down_bias;  // empty without biases
};

/// Finds every gated MLP among the names, by the forms that the families have (family.h), behind any prefix.
/// The layer number is the last number in the name (else a count). In order of layers.
/// @throws Error(kBadInput) when a gate has no up_proj, or a packed tensor cannot be halved.
std::vector<MlpNames> find_mlps(const Weights& weights);

/// The last number among the dotted parts of a name; `otherwise` where there is none.
int64_t layer_number(const std::string& name, int64_t otherwise);

/// What stands in front of a form's `gate` in a name; nothing where the name is not of this form.
std::optional<std::string> prefix_of(const std::string& name, const std::string& gate);

/// "net.layers.0." -> "net.layers."
std::string without_last_part(const std::string& prefix);

}  // namespace bilens
