#pragma once

#include <optional>
#include <string>

#include "bilens/model/family.h"
#include "bilens/records/decomposition.h"

namespace bilens {

/// f of f(Wx) ⊙ Vx, and who says so; `name` is a word of gate_names(), or another activation by the config's
/// name.
struct GateChoice : GateRecord {
  std::optional<Gate> gate;  // nothing: another activation

  bool is_bilinear() const { return gate == Gate::kNone; }
  /// Whether it is z/2 and a rest that is even in z, so that halving gives its bilinear part.
  bool has_half() const { return gate && !is_bilinear(); }
};

/// What the model says, by its config or else by whose names its tensors have; else what is asked for.
/// @param by_names the family that the names of the tensors tell, or null
/// @param asked what somebody asks for; nothing: "auto"
/// @param path of the model, for messages
/// @throws Error(kUsage) where what is asked for contradicts the config; Error(kBadInput), with the command
/// to type, where nothing says what the gate is
GateChoice choose_gate(const Architecture& architecture, const Family* by_names, std::optional<Gate> asked,
                       const std::string& path);

}  // namespace bilens
